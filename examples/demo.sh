#!/usr/bin/env bash
# `make demo`: the loop on the embedded world for two rounds, and beside it the same loop with outcome feedback alone at
# the same number of pairs. Ends in one table. The base that ORPO restarts from is M0, the fine-tuned model: what round 2
# has over SFT is then the pairs' doing and not that of another pass over the SFT data.
#
#   SEED=1 MODE=continue OUT=runs/one bash examples/demo.sh
set -euo pipefail
cd "$(dirname "$0")/.."
OUT=${OUT:-runs/demo} SEED=${SEED:-0} MODE=${MODE:-restart}
# Test and out-of-domain problems depend on the seed as the training problems do: settings were never chosen by them.
export SFT_N=${SFT_N:-72} QUESTIONS_N=${QUESTIONS_N:-2400} TEST_N=1000 OOD_N=500 TEST_SEED=$((1000 + SEED))
# The two arms run side by side, each on half of the cores.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((($(getconf _NPROCESSORS_ONLN) + 1) / 2))}
began=$(date +%s)
same=(--config examples/demo.toml --rounds 2 "--$MODE" --base m0 --seed "$SEED")

# The outcome arm starts from the same M0 and, in its first round, from the same paths.
outcome_arm() {
  until [ -f "$OUT/process/r0/paths.jsonl.manifest.json" ]; do sleep 1; done
  mkdir -p "$OUT/outcome/r0"
  cp "$OUT"/process/r0/paths.jsonl* "$OUT/outcome/r0/"
  export PAIRS_FROM="$OUT/process"
  exec bash examples/loop.sh --out "$OUT/outcome" --sft-from "$OUT/process" --feedback outcome "${same[@]}"
}
mkdir -p "$OUT"
outcome_arm > "$OUT/outcome.log" 2>&1 &
other=$!
trap 'kill $other 2> /dev/null || true' EXIT # it waits for the other arm's pairs, which come no more

bash examples/loop.sh --out "$OUT/process" "${same[@]}"
echo "waiting for the outcome arm; it writes to $OUT/outcome.log" >&2
wait $other || { tail -n 5 "$OUT/outcome.log" >&2; exit 1; }
trap - EXIT

echo
sipf report "$OUT/process" "$OUT/outcome"
echo
echo "took $(($(date +%s) - began)) seconds"
