#!/usr/bin/env bash
# The loop on the embedded world for two rounds, and beside it the same loop with outcome feedback alone and the same
# number of pairs. Prints one table at the end. ORPO restarts from M0, the fine-tuned model, so what round 2 gains over
# SFT comes from the pairs and not from another pass over the SFT data.
#
#   SEED=1 MODE=continue OUT=runs/one bash demo.sh
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
OUT=${OUT:-runs/demo} SEED=${SEED:-0} MODE=${MODE:-restart}
# The seed decides the test and out-of-domain problems too. No setting was chosen by looking at them.
export SFT_N=${SFT_N:-72} QUESTIONS_N=${QUESTIONS_N:-2400} TEST_N=${TEST_N:-1000} OOD_N=${OOD_N:-500}
export TEST_SEED=$((1000 + SEED))
# The two arms run side by side, each on half of the cores.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((($(getconf _NPROCESSORS_ONLN) + 1) / 2))}
began=$(date +%s)
same=(--config "$HERE/demo.toml" --rounds 2 "--$MODE" --base m0 --seed "$SEED")

# The outcome arm starts from the same M0 and, in its first round, from the same paths.
outcome_arm() {
  until [ -f "$OUT/process/r0/paths.jsonl.manifest.json" ]; do sleep 1; done
  mkdir -p "$OUT/outcome/r0"
  cp "$OUT"/process/r0/paths.jsonl* "$OUT/outcome/r0/"
  export PAIRS_FROM="$OUT/process"
  exec bash "$HERE/loop.sh" --out "$OUT/outcome" --sft-from "$OUT/process" --rule outcome "${same[@]}"
}
mkdir -p "$OUT"
outcome_arm > "$OUT/outcome.log" 2>&1 &
other=$!
trap 'kill $other 2> /dev/null || true' EXIT # if this arm fails, the other would wait for its pairs for ever

bash "$HERE/loop.sh" --out "$OUT/process" "${same[@]}"
echo "waiting for the outcome arm, which writes to $OUT/outcome.log" >&2
wait $other || { tail -n 5 "$OUT/outcome.log" >&2; exit 1; }
trap - EXIT

echo
sipf report "$OUT/process" "$OUT/outcome"
echo
echo "took $(($(date +%s) - began)) seconds"
