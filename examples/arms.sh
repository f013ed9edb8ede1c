#!/usr/bin/env bash
# The method, and beside it the paper's baselines, its ablations and its open questions, one line each. All share the
# problems, M0 and the first paths (but STaR's and the teacher's, which are drawn otherwise). Arguments go to loop.sh:
#
#   bash arms.sh --rounds 2 --config demo.toml
#   ARMS="sipf rft srf" OUT=runs/some bash arms.sh --model google/gemma-2b --task gsm8k --rounds 3 --config gsm8k.toml
#
# One arm (FIRST, sipf) makes the data and M0 for the others, and says how many pairs or own paths a round they may have;
# those called ...-tokens may have as many as they like, from as many generated tokens. So it comes first or has run
# before. A stage that is complete is not run again, so the same command resumes.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
OUT=${OUT:-runs/arms}
RULE=${RULE:-consistent} # of the arm sipf
PASS_SHARE=${PASS_SHARE:-0.8} # of the right paths, by the scores of a reward model
ARMS=${ARMS:-sipf sipf-paper siof rft star prft srf rpo without-or without-both}
FIRST=${FIRST:-sipf}
first=$OUT/$FIRST

arms=()
for arm in $ARMS; do
  echo "== $arm" >&2
  arms+=("$OUT/$arm")
  # What the others share with it: its questions and M0; `equal`, its first paths and the number of its pairs; `labelled`
  # and `scored`, the first labels and scores of sipf as well (shuffled-...: those of sipf-paper), so these run after it.
  shared=(--out "$OUT/$arm" --sft-from "$first")
  equal=("${shared[@]}" --paths-of "$first" --pairs-of "$first")
  labelled=("${equal[@]}" --labels-of "$OUT/sipf") scored=("${equal[@]}" --scores-of "$OUT/sipf")
  tokens=("${shared[@]}" --tokens-of "$first")
  if [ "$arm" = "$FIRST" ]; then shared=(--out "$first") equal=(--out "$first"); fi
  loop=(bash "$HERE/loop.sh")
  right=(env SIPF_SIMULATE_SHARE=1 SIPF_SIMULATE_ONLY_RIGHT=true "${loop[@]}") # labels of every right path, and no other
  share=(env "SIPF_PAIRS_PASS_SHARE=$PASS_SHARE" SIPF_PAIRS_AGGREGATE=mean "${right[@]}") # scores choose
  case $arm in
    # Pairs by the scores of a reward model, which learns from the policy's own rollouts: no help from outside.
    sipf) "${share[@]}" "${equal[@]}" --rule "$RULE" "$@" ;;
    sipf-paper) "${loop[@]}" "${equal[@]}" --rule threshold "$@" ;; # a share of all paths labelled, pairs with a gap of eta
    sipf-widest) "${loop[@]}" "${equal[@]}" --rule widest "$@" ;;
    orm) SIPF_TRAIN_PRM_OUTCOME=true "${share[@]}" "${labelled[@]}" --rule "$RULE" "$@" ;; # an outcome reward model

    siof) "${loop[@]}" "${equal[@]}" --rule outcome "$@" ;;                    # without process feedback: right above wrong
    rft) "${loop[@]}" "${equal[@]}" --learn rft "$@" ;;                        # fine-tuned on right paths
    star) "${loop[@]}" "${shared[@]}" --pairs-of "$first" --learn star "$@" ;; # the same, some drawn with the answer in sight
    prft) "${right[@]}" "${scored[@]}" --learn "prft:${PASS:-0.9}" "$@" ;;   # right paths all of whose steps score well
    srf) "${loop[@]}" "${equal[@]}" --rule outcome --learn dpo "$@" ;;         # DPO on right above wrong
    rpo) "${loop[@]}" "${equal[@]}" --rule outcome --learn rpo "$@" ;;         # DPO and the chosen path's likelihood
    without-or) SIPF_ORPO_BETA=0 "${share[@]}" "${scored[@]}" --rule "$RULE" "$@" ;; # without the odds-ratio term
    without-both) SIPF_ORPO_BETA=0 "${loop[@]}" "${equal[@]}" --rule outcome "$@" ;;
    beta-*) SIPF_ORPO_BETA=${arm#beta-} "${share[@]}" "${scored[@]}" --rule "$RULE" "$@" ;;

    siof-tokens) "${loop[@]}" "${tokens[@]}" --rule outcome "$@" ;;
    rft-tokens) "${loop[@]}" "${tokens[@]}" --learn rft "$@" ;;
    srf-tokens) "${loop[@]}" "${tokens[@]}" --rule outcome --learn dpo "$@" ;;

    # The labels themselves, of every right path.
    labels) "${right[@]}" "${equal[@]}" --rule consistent --by labels "$@" ;;
    fork) SIPF_SIMULATE_SHARE=1 SIPF_SIMULATE_STRATEGY=first-error "${loop[@]}" "${equal[@]}" --rule fork "$@" ;;
    frequent) "${loop[@]}" "${equal[@]}" --rule frequent "$@" ;;

    # How good the labels and the reward model have to be.
    k-*) SIPF_SIMULATE_K=${arm#k-} "${share[@]}" "${equal[@]}" --rule "$RULE" "$@" ;;
    share-*) SIPF_SIMULATE_SHARE=${arm#share-} SIPF_PAIRS_PASS_SHARE=$PASS_SHARE SIPF_PAIRS_AGGREGATE=mean "${loop[@]}" "${equal[@]}" --rule "$RULE" "$@" ;;
    shuffled-*) # as sipf-paper, whose labels and scores it takes, but this share of the pairs by scores dealt out anew within each question
      part=${arm#shuffled-} rest=$(python3 -c "print(round(1 - ${arm#shuffled-}, 9))") rules=(--rule "shuffled:$part")
      [ "$rest" = 0.0 ] || rules+=(--rule "threshold:$rest")
      "${loop[@]}" "${equal[@]}" --scores-of "$OUT/sipf-paper" "${rules[@]}" "$@" ;;

    # Help from outside: a stronger model labels, judges, or is imitated.
    teacher) "${share[@]}" "${equal[@]}" --rule "$RULE" --simulator "${TEACHER:-teacher}" --prm-base "${TEACHER:-chain-teacher}" "$@" ;;
    teacher-simulator) "${share[@]}" "${equal[@]}" --rule "$RULE" --simulator "${TEACHER:-teacher}" "$@" ;;
    teacher-labels) "${right[@]}" "${equal[@]}" --rule consistent --by labels --simulator "${TEACHER:-teacher}" "$@" ;;
    teacher-likelihood) "${share[@]}" "${equal[@]}" --rule consistent --score-by likelihood --scorer "${TEACHER:-teacher}" "$@" ;;
    distilled) "${loop[@]}" "${shared[@]}" --pairs-of "$first" --learn rft --sampler "${TEACHER:-teacher}" "$@" ;;

    continue) "${share[@]}" "${scored[@]}" --rule "$RULE" "$@" --continue ;;
    siof-continue) "${loop[@]}" "${equal[@]}" --rule outcome "$@" --continue ;;
    *) echo "arms.sh: there is no arm $arm" >&2; exit 2 ;;
  esac
done
echo
sipf report "${arms[@]}"
