#!/usr/bin/env bash
# The whole loop, one line per stage. Ready to use:
#
#   bash loop.sh --model google/gemma-2b --task gsm8k --rounds 3 --config gsm8k.toml --out runs/gemma
#   bash loop.sh --model chain-base --task chain --rounds 2 --config demo.toml --out runs/chain
#   bash loop.sh --task functions --rounds 2 --config demo.toml --out runs/functions
#
# A stage that is complete is not run again, so the same command resumes where it was stopped. Every file has its
# manifest beside it. Settings belong in the config file (one table per command) or in SIPF_<COMMAND>_<OPTION> variables.
set -euo pipefail

MODEL="" TASK=chain ROUNDS=2 MODE=restart BASE="" RULES=() BY=scores SCORE_BY=prm SCORER="" REFERENCE="" CONFIG="" OUT=runs/loop DATA=hub SFT_FROM="" SEED=0
LEARN=orpo SIMULATOR=policy PRM_BASE="" ENGINE="" PROCESSES=1 PATHS_OF="" LABELS_OF="" SCORES_OF="" SAMPLER=policy PAIRS_OF="" TOKENS_OF="" STOP_WHEN=""
SFT_N=${SFT_N:-500} QUESTIONS_N=${QUESTIONS_N:-1000} TEST_N=${TEST_N:-1000} OOD_N=${OOD_N:-500}
VALIDATION_N=${VALIDATION_N:-1000} # for --stop-when; of GSM8K they are taken from the 7,473 train questions
TEST_SEED=${TEST_SEED:-0}

usage() {
  cat <<USAGE
usage: loop.sh [options]
  --model NAME         the policy's base: folder, hub name or embedded model   (the embedded one of chain or functions)
  --task chain|functions|gsm8k|mbpp   where the problems come from         (chain)
  --data DIR           instead of the hub: GSM8K's train.jsonl and test.jsonl, with MMLU's folder mmlu/ if they are to be
                       measured out of domain; or mbpp.jsonl (HumanEval comes with its package)
  --rounds N           rounds of sample ... orpo                           (2)
  --restart            training starts from --base in every round (default)
  --continue           training continues from the previous round's policy
  --base model|m0      what --restart restarts from: --model itself, as the paper does (gsm8k, mbpp), or the fine-tuned M0 (chain, functions, DPO)
  --learn METHOD       how the policy learns: orpo, dpo or rpo from pairs, rft, star or prft:T from its own right paths (orpo)
                       (star draws again with the answer in sight; prft:T takes paths whose every step scores at least T)
  --rule RULE[:SHARE]  how pairs are made, see sipf pairs --help; may be given again  (widest)
  --by scores|labels   for the rule consistent: who says which steps are right  (scores)
  --score-by prm|likelihood|ratio   what scores are: a reward model's, or a model's likelihood of the steps  (prm)
  --scorer WHO         whose likelihood: policy, teacher or a model, as for --simulator  (policy)
  --reference NAME     what the ratio compares it with
  --sampler WHO        who writes the paths, as for --simulator  (policy)
  --simulator WHO      who rolls steps out: policy (the round's), teacher (the embedded one, chain only) or a model; the
                       paper's is a 7B model. WHO,WHO,...: one per round, the last for all that follow  (policy)
  --prm-base NAME      what the reward model is trained from; the paper's is a 7B model  (m0)
  --engine hf|vllm     who writes text                                     (hf)
  --processes N        train with N processes, through accelerate launch   (1)
  --stop-when plateau|worse   end after the round in which accuracy no longer rises, or in which it falls, and name the
                       best round; both are judged by validation problems, never by test problems (docs/running.md)
  --config FILE        TOML file of settings, one table per command
  --sft-from DIR       take data and M0 from another loop's folder
  --paths-of DIR       take the first round's paths from another loop's folder
  --labels-of DIR      take the first round's paths and labels from there
  --scores-of DIR      take the first round's paths, labels and scores from there (made with the same --score-by), so
                       that no reward model is trained in that round
  --pairs-of DIR       make at most as many pairs, or own paths, a round as that loop
  --tokens-of DIR      draw so many paths a round that as many tokens are generated as in that loop, rollouts included
  --out DIR            everything is written here                          (runs/loop)
  --seed N             seed of data, sampling and simulation               (0)
USAGE
}
while [ $# -gt 0 ]; do
  case $1 in
    --model) MODEL=$2; shift 2 ;;
    --task) TASK=$2; shift 2 ;;
    --data) DATA=$2; shift 2 ;;
    --rounds) ROUNDS=$2; shift 2 ;;
    --restart) MODE=restart; shift ;;
    --continue) MODE=continue; shift ;;
    --base) BASE=$2; shift 2 ;;
    --rule) RULES+=("$2"); shift 2 ;;
    --by) BY=$2; shift 2 ;;
    --score-by) SCORE_BY=$2; shift 2 ;;
    --scorer) SCORER=$2; shift 2 ;;
    --reference) REFERENCE=$2; shift 2 ;;
    --learn) LEARN=$2; shift 2 ;;
    --sampler) SAMPLER=$2; shift 2 ;;
    --simulator) SIMULATOR=$2; shift 2 ;;
    --prm-base) PRM_BASE=$2; shift 2 ;;
    --engine) ENGINE=$2; shift 2 ;;
    --processes) PROCESSES=$2; shift 2 ;;
    --stop-when) STOP_WHEN=$2; shift 2 ;;
    --config) CONFIG=$2; shift 2 ;;
    --sft-from) SFT_FROM=$2; shift 2 ;;
    --paths-of) PATHS_OF=$2; shift 2 ;;
    --labels-of) PATHS_OF=$2 LABELS_OF=$2; shift 2 ;;
    --scores-of) PATHS_OF=$2 LABELS_OF=$2 SCORES_OF=$2; shift 2 ;;
    --pairs-of) PAIRS_OF=$2; shift 2 ;;
    --tokens-of) TOKENS_OF=$2; shift 2 ;;
    --out) OUT=$2; shift 2 ;;
    --seed) SEED=$2; shift 2 ;;
    -h | --help) usage; exit 0 ;;
    *) echo "loop.sh: unknown option $1" >&2; usage >&2; exit 2 ;;
  esac
done
case $TASK in
  chain | functions) EMBEDDED=yes MODEL=${MODEL:-$TASK-base} ;;
  gsm8k | mbpp) EMBEDDED="" MODEL=${MODEL:-chain-base} ;;
  *) echo "loop.sh: --task is chain, functions, gsm8k or mbpp, not $TASK" >&2; exit 2 ;;
esac
case $LEARN in orpo | dpo | rpo | rft | star | prft:*) ;; *) echo "loop.sh: --learn is orpo, dpo, rpo, rft, star or prft:T, not $LEARN" >&2; exit 2 ;; esac
# DPO holds the policy to the model that it starts from, which therefore has to be a fine-tuned one.
if [ -z "$BASE" ]; then case ${EMBEDDED:-no}/$LEARN in yes/* | */dpo | */rpo) BASE=m0 ;; *) BASE=model ;; esac; fi
case $BASE in model | m0) ;; *) echo "loop.sh: --base is model or m0, not $BASE" >&2; exit 2 ;; esac

case $STOP_WHEN in "" | plateau | worse) ;; *) echo "loop.sh: --stop-when is plateau or worse, not $STOP_WHEN" >&2; exit 2 ;; esac
if [ -n "$STOP_WHEN" ] && [ -n "$PAIRS_OF$TOKENS_OF" ]; then
  echo "loop.sh: --stop-when is not for a loop that waits for another one's rounds (--pairs-of, --tokens-of)" >&2; exit 2
fi

IFS=, read -ra SIMULATORS <<< "$SIMULATOR"
for who in "${SIMULATORS[@]}" "${SCORER:-policy}" "$SAMPLER"; do
  case $who/$TASK in
    teacher/chain) ;;
    teacher/*) echo "loop.sh: a teacher is there for chain alone; name a model" >&2; exit 2 ;;
  esac
done
# The model that a word stands for: this round's policy, the embedded teacher, or itself.
model_of() { case $1 in policy) echo "$POLICY" ;; teacher) echo chain-teacher ;; *) echo "$1" ;; esac; }

# What the rules need: labels of the steps, or scores; a reward model learns its scores from labels.
LABELS=no SCORES=no FORKS=""
case $SCORE_BY in prm | likelihood | ratio) ;; *) echo "loop.sh: --score-by is prm, likelihood or ratio, not $SCORE_BY" >&2; exit 2 ;; esac
[ "${#RULES[@]}" -gt 0 ] || RULES=(widest)
for rule in "${RULES[@]}"; do
  case ${rule%%:*}/$BY in
    threshold/* | widest/* | sigma/* | shuffled/* | consistent/scores) SCORES=yes ;;
    consistent/labels) LABELS=yes ;;
    fork/*) LABELS=yes FORKS=yes ;;
    outcome/* | frequent/*) ;;
    *) echo "loop.sh: unknown --rule $rule with --by $BY" >&2; exit 2 ;;
  esac
done
# Fine-tuning on right paths makes no pairs.
case $LEARN in rft | star) LABELS=no SCORES=no ;; prft:*) LABELS=no SCORES=yes ;; esac
if [ "$SCORES/$SCORE_BY" = yes/prm ]; then LABELS=yes; fi

sipf() { echo "+ sipf $*" >&2; command sipf ${CONFIG:+--config "$CONFIG"} "$@"; }
# A training stage; with several processes each runs the same command, and the first one writes and speaks.
train() {
  if [ "$PROCESSES" = 1 ]; then sipf "$@"; return; fi
  echo "+ accelerate launch --num_processes $PROCESSES -m sipf_cli $*" >&2
  accelerate launch --num_processes "$PROCESSES" -m sipf_cli ${CONFIG:+--config "$CONFIG"} "$@"
}
# A file that another loop made, with its manifest; that loop may still be running.
ready() { until [ -f "$1.manifest.json" ]; do sleep 1; done; }
take() { ready "$1/$2" && cp "$1/$2" "$1/$2.manifest.json" "$OUT/${2%/*}/"; }
# Tokens of a round's paths and labels, and the draws a question of its paths.
spent() {
  python3 - "$@" <<'PY'
import json, os, sys
folder = sys.argv[1]
made = [json.load(open(f)) for f in (f"{folder}/{name}.jsonl.manifest.json" for name in ("paths", "labels")) if os.path.exists(f)]
print(sum(one["usage"]["tokens"] for one in made), made[0]["usage"]["tokens"], made[0]["options"]["n"])
PY
}
# The last VALIDATION_N lines of a file go to the third, the lines before them to the second.
hold_back() {
  if [ -f "$2.manifest.json" ]; then echo "loop.sh: $OUT was begun without --stop-when, on all train questions; choose another --out" >&2; exit 2; fi
  local kept=$(($(wc -l < "$1") - VALIDATION_N))
  if [ "$kept" -lt 1 ]; then echo "loop.sh: VALIDATION_N=$VALIDATION_N leaves none of $1 to train on" >&2; exit 2; fi
  head -n "$kept" "$1" > "$2.tmp" && mv "$2.tmp" "$2"
  tail -n +"$((kept + 1))" "$1" > "$3.tmp" && mv "$3.tmp" "$3"
}
# Whether a round (by default the last) showed the sign that --stop-when names, as its line in health.jsonl says; tells so.
stopped() {
  [ -n "$STOP_WHEN" ] && [ -f "$OUT/health.jsonl" ] || return 1
  python3 - "$OUT/health.jsonl" "$STOP_WHEN" "${1:-}" <<'PY'
import json, sys
file, when, number = sys.argv[1:]
lines = [json.loads(line) for line in open(file, encoding="utf-8")]
line = [one for one in lines if number in ("", str(one["round"]))][-1]
if not line["stop"] or line["stop"]["when"] != when:
    sys.exit(1)
best = f"round {line['best']}, {line['best_model']}" if line["best"] else "M0"
print(f"loop.sh: ended after round {line['round']} by --stop-when {when}: {line['stop']['sign']}; the best is {best}", file=sys.stderr)
PY
}
# What every policy answers. A loop that was begun without problems out of domain goes on without them.
join_test_and_ood() {
  [ -f "$OUT/data/eval.jsonl.manifest.json" ] && return
  cat "$OUT/data/test.jsonl" $([ -f "$OUT/data/ood.jsonl" ] && echo "$OUT/data/ood.jsonl") > "$OUT/data/eval.jsonl"
}
path() { if [ "$DATA" = hub ]; then echo hub; else echo "$DATA/$1.jsonl"; fi; }
if stopped; then
  echo "loop.sh: nothing is left to do; without --stop-when the loop goes on" >&2
  exit 0
fi
mkdir -p "$OUT/data" "$OUT/eval"

# data: problems, one per line. Takes seconds. The splits of an embedded world share no problem; GSM8K and MBPP train on
# their train split, and are measured on their test split and, out of domain, on the mathematics of MMLU and on HumanEval.
if [ -n "$SFT_FROM" ]; then
  SOURCE=$SFT_FROM
else
  SOURCE=$OUT
  if [ -n "$EMBEDDED" ]; then
    sipf data "$TASK" --split train -n "$SFT_N" --seed "$((100 + SEED))" -o "$OUT/data/sft.jsonl"
    sipf data "$TASK" --split test -n "$TEST_N" --seed "$TEST_SEED" -o "$OUT/data/test.jsonl"
    sipf data "$TASK" --split ood -n "$OOD_N" --seed "$TEST_SEED" -o "$OUT/data/ood.jsonl"
    join_test_and_ood
    for i in $(seq 0 $((ROUNDS - 1))); do  # new questions for every round
      sipf data "$TASK" --split train -n "$QUESTIONS_N" --seed "$((200 + 10 * SEED + i))" -o "$OUT/data/questions.$i.jsonl"
    done
    if [ -n "$STOP_WHEN" ]; then
      sipf data "$TASK" --split validation -n "$VALIDATION_N" --seed "$TEST_SEED" -o "$OUT/data/validation.jsonl"
    fi
  elif [ "$TASK" = mbpp ]; then
    sipf data mbpp --split train --path "$(path mbpp)" -o "$OUT/data/sft.jsonl"
    sipf data mbpp --split test --path "$(path mbpp)" -o "$OUT/data/test.jsonl"
    sipf data humaneval -o "$OUT/data/ood.jsonl"
    join_test_and_ood
    if [ -n "$STOP_WHEN" ]; then sipf data mbpp --split validation --path "$(path mbpp)" -o "$OUT/data/validation.jsonl"; fi
  else
    if [ -n "$STOP_WHEN" ] || [ -f "$OUT/data/train.jsonl" ]; then # GSM8K has no validation split: the last train questions are held back
      sipf data gsm8k --split train --path "$(path train)" -o "$OUT/data/train.jsonl"
      hold_back "$OUT/data/train.jsonl" "$OUT/data/sft.jsonl" "$OUT/data/validation.jsonl"
    else
      sipf data gsm8k --split train --path "$(path train)" -o "$OUT/data/sft.jsonl"
    fi
    sipf data gsm8k --split test --path "$(path test)" -o "$OUT/data/test.jsonl"
    if [ "$DATA" = hub ] || [ -d "$DATA/mmlu" ]; then
      sipf data mmlu --split test --mode number --path "$([ "$DATA" = hub ] && echo hub || echo "$DATA/mmlu")" -o "$OUT/data/ood.jsonl"
    else
      echo "loop.sh: $DATA has no mmlu/, so nothing is measured out of domain" >&2
    fi
    join_test_and_ood
  fi

  # sft: M0, the base fine-tuned on gold solutions. From here on no gold solution is needed, only answers.
  train sft "$OUT/data/sft.jsonl" --model "$MODEL" -o "$OUT/m0"
  sipf eval "$OUT/data/eval.jsonl" --model "$MODEL" ${ENGINE:+--engine "$ENGINE"} -o "$OUT/eval/base.jsonl"
  sipf eval "$OUT/data/eval.jsonl" --model "$OUT/m0" ${ENGINE:+--engine "$ENGINE"} -o "$OUT/eval/sft.jsonl"
fi

# validation: what --stop-when and the best round are judged by. No stage trains on these problems.
validate() { sipf eval "$SOURCE/data/validation.jsonl" --model "$1" ${ENGINE:+--engine "$ENGINE"} -o "$OUT/validation/$2.jsonl"; }
VALIDATE=""
if [ -n "$STOP_WHEN" ] || [ -d "$OUT/validation" ]; then
  VALIDATE=yes
  if [ ! -f "$SOURCE/data/validation.jsonl" ]; then
    echo "loop.sh: $SOURCE has no data/validation.jsonl; run that loop with --stop-when, too" >&2; exit 2
  fi
  mkdir -p "$OUT/validation"
  validate "$SOURCE/m0" sft
fi

POLICY=$SOURCE/m0
for i in $(seq 0 $((ROUNDS - 1))); do
  R=$OUT/r$i
  mkdir -p "$R"
  # Another loop that makes the questions may still be running; then this waits for what it takes from there.
  [ "$i" -gt 0 ] || [ -z "$PATHS_OF" ] || take "$PATHS_OF" r0/paths.jsonl
  [ -z "$TOKENS_OF" ] || ready "$TOKENS_OF/r$i/pairs.jsonl"
  QUESTIONS=$SOURCE/data/questions.$i.jsonl
  [ -f "$QUESTIONS" ] || QUESTIONS=$SOURCE/data/sft.jsonl

  # sample: paths from this round's policy. The cost is decoding. For the same questions the pool's paths are kept.
  POOL=""
  [ "$i" -gt 0 ] && [ "$QUESTIONS" = "$SOURCE/data/sft.jsonl" ] && POOL=$OUT/r$((i - 1))/pool.jsonl
  AGAIN=""
  [ "$LEARN" = star ] && AGAIN=yes
  DRAWS=""
  if [ -n "$TOKENS_OF" ]; then
    read -r ALL DRAWN N < <(spent "$TOKENS_OF/r$i")
    DRAWS=$(((N * ALL + DRAWN / 2) / DRAWN))
  fi
  sipf sample "$QUESTIONS" --model "$(model_of "$SAMPLER")" ${AGAIN:+--rationalise} --round "$i" --seed "$SEED" ${DRAWS:+-n "$DRAWS"} ${POOL:+--pool "$POOL"} ${ENGINE:+--engine "$ENGINE"} -o "$R/paths.jsonl"

  if [ "$LABELS" = yes ]; then
    [ "$i" -gt 0 ] || [ -z "$LABELS_OF" ] || take "$LABELS_OF" r0/labels.jsonl
    # simulate: can the answer still be reached after this step? The most expensive stage: rollouts from every prefix.
    WHO=${SIMULATORS[$((i < ${#SIMULATORS[@]} ? i : ${#SIMULATORS[@]} - 1))]}
    sipf simulate "$R/paths.jsonl" --model "$(model_of "$WHO")" --seed "$SEED" ${FORKS:+--root --keep-forks 2} ${ENGINE:+--engine "$ENGINE"} -o "$R/labels.jsonl"
    LABELLED=$R/labels.jsonl
  else
    LABELLED=$R/paths.jsonl
  fi

  # the pool: D_{i+1} = D_i and the new samples. A restarted policy learns from all of it, a continued one from the new.
  if [ "$i" -gt 0 ] && [ -z "$POOL" ]; then
    cat "$OUT/r$((i - 1))/pool.jsonl" "$LABELLED" > "$R/pool.jsonl"
  else
    cp "$LABELLED" "$R/pool.jsonl"
  fi
  if [ "$MODE" = restart ]; then LEARN_FROM=$R/pool.jsonl; else LEARN_FROM=$LABELLED; fi

  PAIRED=$LEARN_FROM NAME=""
  if [ "$SCORES" = yes ]; then
    PAIRED=$R/scored.jsonl NAME=$SCORE_BY$i
    if [ "$i" = 0 ] && [ -n "$SCORES_OF" ]; then
      take "$SCORES_OF" r0/scored.jsonl
    elif [ "$SCORE_BY" = prm ]; then
      # train-prm, score: the labels of some paths become scores for all of them.
      train train-prm "$R/pool.jsonl" --model "${PRM_BASE:-$SOURCE/m0}" -o "$R/prm"
      sipf score "$LEARN_FROM" --model "$R/prm" --name "$NAME" -o "$PAIRED"
    else
      # score: how likely a model finds the steps. One forward pass; no labels and no reward model.
      sipf score "$LEARN_FROM" --by "$SCORE_BY" --model "$(model_of "${SCORER:-policy}")" ${REFERENCE:+--reference "$REFERENCE"} --name "$NAME" -o "$PAIRED"
    fi
  fi

  MOST=""
  if [ -n "$PAIRS_OF" ]; then
    ready "$PAIRS_OF/r$i/pairs.jsonl"
    MOST=$(wc -l < "$PAIRS_OF/r$i/pairs.jsonl")
  fi
  # The next policy begins at the base again (the paper), or at this one.
  START=$([ "$BASE" = m0 ] && echo "$SOURCE/m0" || echo "$MODEL")
  [ "$MODE" = restart ] || START=$POLICY
  NEXT=$OUT/m$((i + 1))
  case $LEARN in
    orpo | dpo | rpo)
      # pairs: by the rules.
      sipf pairs "$PAIRED" "${RULES[@]/#/--rule=}" --by "$BY" ${NAME:+--name "$NAME"} --seed "$SEED" ${MOST:+--most "$MOST"} ${DRAWS:+--max-per-problem "$DRAWS"} -o "$R/pairs.jsonl"
      # orpo, or dpo to compare it with: the next policy.
      HOW=(--model "$START")
      [ "$MODE" = restart ] || HOW=(--continue-from "$START")
      if [ "$LEARN" = orpo ]; then
        train orpo "$R/pairs.jsonl" "${HOW[@]}" -o "$NEXT"
      else
        [ "$LEARN" = dpo ] || HOW+=(--sft-weight 1)
        train dpo "$R/pairs.jsonl" "${HOW[@]}" -o "$NEXT"
      fi
      ;;
    rft | star | prft:*)
      # sft: the next policy from the right paths themselves. RFT learns them beside M0's own gold solutions, and new
      # questions have none that a method may see; STaR does without, and learns one path a question.
      PATHS=right GOLD=--gold
      case $LEARN in prft:*) PATHS=$NAME:${LEARN#prft:} ;; esac
      if [ "$LEARN" = star ] || [ "$QUESTIONS" != "$SOURCE/data/sft.jsonl" ]; then GOLD=--no-gold; fi
      ONE=$([ "$LEARN" != star ] || echo 1)
      train sft "$PAIRED" --paths "$PATHS" "$GOLD" ${ONE:+--max-per-problem "$ONE"} ${MOST:+--most "$MOST"} --model "$START" -o "$NEXT"
      ;;
  esac
  POLICY=$NEXT

  # eval: greedy, on problems that no stage has seen.
  sipf eval "$SOURCE/data/eval.jsonl" --model "$POLICY" ${ENGINE:+--engine "$ENGINE"} -o "$OUT/eval/round$((i + 1)).jsonl"
  if [ -n "$VALIDATE" ]; then validate "$POLICY" "round$((i + 1))"; fi

  # health: what the round was like, and which failure signs it shows. One line per round in health.jsonl.
  sipf health "$OUT" --round "$((i + 1))" ${STOP_WHEN:+--stop-when "$STOP_WHEN"} ${SFT_FROM:+--sft-from "$SFT_FROM"}
  if stopped "$((i + 1))"; then break; fi
done

command sipf report "$OUT"
