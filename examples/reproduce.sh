#!/usr/bin/env bash
# What the paper claims, tested: its method, baselines and ablations (arms.sh) for several seeds, and at the end one page
# with every claim, what was found, and how sure that is. It resumes: what is complete is not run again.
#
#   bash reproduce.sh                                   three rounds of the arms below, two seeds, on the embedded world
#   FULL=1 bash reproduce.sh                            five seeds, the open questions, and the world of programs too
#   CODE="labels sipf siof" bash reproduce.sh           that world beside the default
#   KEPT=claims bash reproduce.sh                       the arms of an earlier page's folder beside those of this run
#   SEEDS="0 1 2" TEACHER=google/gemma-7b bash reproduce.sh --model google/gemma-2b --task gsm8k --config gsm8k.toml
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export OUT=${OUT:-runs/reproduce}
FULL=${FULL:-} ROUNDS=${ROUNDS:-3}
SEEDS=${SEEDS:-$([ -n "$FULL" ] && echo 0 1 2 3 4 || echo 0 1)}
# The arm that makes the fewest pairs says how many there may be.
export FIRST=labels
DEFAULT="labels sipf siof teacher rft sipf-paper siof-tokens srf teacher-labels without-or rft-tokens srf-tokens distilled"
MORE="orm prft star rpo without-both beta-0.01 beta-1.0 fork frequent k-2 k-32 share-0.1 share-0.3 shuffled-0.5 \
shuffled-1.0 teacher-simulator teacher-likelihood continue siof-continue"
# A teacher ships with the embedded world alone; TEACHER=MODEL names one for other tasks.
if [[ " $* " == *" --task "* && " $* " != *" --task chain "* && -z ${TEACHER:-} ]]; then
  for arm in teacher teacher-labels teacher-simulator teacher-likelihood distilled; do
    DEFAULT=" $DEFAULT " MORE=" $MORE "
    DEFAULT=${DEFAULT/ $arm / } MORE=${MORE/ $arm / }
  done
  echo "reproduce.sh: without the arms that a teacher helps; TEACHER=MODEL names one" >&2
fi
export ARMS=${ARMS:-$DEFAULT${FULL:+ $MORE}}
export SFT_N=${SFT_N:-72} QUESTIONS_N=${QUESTIONS_N:-1600} TEST_N=${TEST_N:-1000} OOD_N=${OOD_N:-500}
# The world of programs: only the embedded one, and only the arms that the claims about code compare.
CODE=${CODE-$([ -n "$FULL" ] && [ $# -eq 0 ] && echo "labels sipf siof" || true)}
# How it goes on: these arms for six rounds.
LONG=${LONG-${FULL:+labels sipf siof}}
# Seeds side by side: as many as there are cores, or one on a GPU.
JOBS=${JOBS:-$(if nvidia-smi -L > /dev/null 2>&1; then echo 1; else getconf _NPROCESSORS_ONLN; fi)}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
began=$(date +%s)
[ $# -gt 0 ] || set -- --config "$HERE/demo.toml"
mkdir -p "$OUT"

read -ra seeds <<< "$SEEDS"
# Three rounds of an arm take about six minutes on one core, on the embedded world; with a reward model ten.
waves=$(((${#seeds[@]} + JOBS - 1) / JOBS)) names=$(wc -w <<< "$ARMS $CODE") long=$(wc -w <<< "$LONG")
minutes=$((waves * (names * ROUNDS + long * 6) * ${MINUTES:-2}))
echo "$names arms of $ROUNDS rounds${LONG:+, $long of 6}, ${#seeds[@]} seeds: about $minutes minutes on the embedded world" >&2

# all_seeds FOLDER ROUNDS [options of loop.sh]: the arms in FOLDER/SEED, as many seeds at a time as there are jobs.
all_seeds() {
  local folder=$1 rounds=$2
  shift 2
  mkdir -p "$folder"
  for seed in "${seeds[@]}"; do
    while [ "$(jobs -rp | wc -l)" -ge "$JOBS" ]; do wait -n || exit 1; done
    echo "seed $seed writes to $folder/$seed.log" >&2
    OUT=$folder/$seed TEST_SEED=$((2000 + seed)) bash "$HERE/arms.sh" --rounds "$rounds" --seed "$seed" "$@" > "$folder/$seed.log" 2>&1 &
  done
  while [ -n "$(jobs -rp)" ]; do wait -n || { echo "reproduce.sh: an arm failed; see $folder/*.log" >&2; exit 1; }; done
}
set -m # each seed is a process group of its own, which can be ended with all that it has started
trap 'for job in $(jobs -p); do kill -- "-$job" 2> /dev/null || true; done' EXIT
all_seeds "$OUT" "$ROUNDS" "$@"
[ -z "$LONG" ] || ARMS=$LONG all_seeds "$OUT-long" 6 "$@"
[ -z "$CODE" ] || ARMS=$CODE all_seeds "$OUT-code" "$ROUNDS" --task functions "$@"
trap - EXIT
python3 "$HERE/claims.py" "$OUT" ${LONG:+--long "$OUT-long"} ${CODE:+--code "$OUT-code"} ${KEPT:+--kept "$KEPT"} -o "${CLAIMS:-$OUT/claims.md}"
echo "took $(($(date +%s) - began)) seconds" >&2
