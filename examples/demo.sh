#!/usr/bin/env bash
# `make demo`: the loop on the embedded world for two rounds, and beside it the same loop with outcome feedback alone at
# the same number of pairs. Ends in one table. The base that ORPO restarts from is M0, the fine-tuned model: what round 2
# has over SFT is then the pairs' doing and not that of another pass over the SFT data.
set -euo pipefail
cd "$(dirname "$0")/.."
OUT=${OUT:-runs/demo} SEED=${SEED:-0} MODE=${MODE:-restart}
# Test and out-of-domain problems depend on the seed as the training problems do: settings were never chosen by them.
export SFT_N=${SFT_N:-72} QUESTIONS_N=${QUESTIONS_N:-2400} TEST_N=1000 OOD_N=500 TEST_SEED=$((1000 + SEED))
began=$(date +%s)

bash examples/loop.sh --out "$OUT/process" --config examples/demo.toml --rounds 2 "--$MODE" --base m0 --seed "$SEED"

# The outcome arm starts from the same M0 and, in its first round, from the same paths.
mkdir -p "$OUT/outcome/r0"
cp "$OUT"/process/r0/paths.jsonl* "$OUT/outcome/r0/"
PAIRS_FROM="$OUT/process" bash examples/loop.sh --out "$OUT/outcome" --sft-from "$OUT/process" --feedback outcome \
  --config examples/demo.toml --rounds 2 "--$MODE" --base m0 --seed "$SEED"

echo
sipf report "$OUT/process" "$OUT/outcome"
echo
echo "took $(($(date +%s) - began)) seconds"
