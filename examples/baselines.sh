#!/usr/bin/env bash
# The method, and beside it the paper's baselines and ablations, one line each: the same problems, M0, first paths (but
# STaR's, which are drawn otherwise) and number of pairs or own paths. Arguments go to loop.sh:
#
#   bash baselines.sh --rounds 2 --config demo.toml
#   ARMS="sipf rft srf" OUT=runs/some bash baselines.sh --model google/gemma-2b --task gsm8k --rounds 3 --config gsm8k.toml
#
# The arm sipf makes the data and M0 for the others, so it comes first or has run before. A stage that is complete is not
# run again, so the same command resumes.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
OUT=${OUT:-runs/baselines}
ARMS=${ARMS:-sipf siof rft star prft srf rpo without-or without-both}

loop() { # loop ARM OPTION...
  local arm=$1
  shift
  echo "== $arm" >&2
  if [ "$arm" = sipf ]; then bash "$HERE/loop.sh" --out "$OUT/sipf" "$@"; return; fi
  if [ "$arm" != star ]; then
    mkdir -p "$OUT/$arm/r0"
    cp "$OUT"/sipf/r0/paths.jsonl* "$OUT/$arm/r0/"
  fi
  PAIRS_FROM=$OUT/sipf bash "$HERE/loop.sh" --out "$OUT/$arm" --sft-from "$OUT/sipf" "$@"
}

arms=()
for arm in $ARMS; do
  case $arm in
    sipf) loop sipf --rule threshold "$@" ;;                              # the paper's pairs, by a reward model's scores
    siof) loop siof --rule outcome "$@" ;;                                # without process feedback: right above wrong
    rft) loop rft --learn rft "$@" ;;                                     # fine-tuned on right paths
    star) loop star --learn star "$@" ;;                                  # the same, some drawn with the answer in sight
    prft) loop prft --learn "prft:${PASS:-0.5}" "$@" ;;                   # right paths all of whose steps score well
    srf) loop srf --rule outcome --learn dpo "$@" ;;                      # DPO on right above wrong
    rpo) loop rpo --rule outcome --learn rpo "$@" ;;                      # DPO and the chosen path's likelihood
    without-or) SIPF_ORPO_BETA=0 loop without-or --rule threshold "$@" ;; # without the odds-ratio term
    without-both) SIPF_ORPO_BETA=0 loop without-both --rule outcome "$@" ;;
    *) echo "baselines.sh: there is no arm $arm" >&2; exit 2 ;;
  esac
  arms+=("$OUT/$arm")
done
echo
sipf report "${arms[@]}"
