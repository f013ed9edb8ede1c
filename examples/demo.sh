#!/usr/bin/env bash
# The loop on the embedded world for two rounds, and beside it outcome feedback alone: with the same number of pairs, and
# with as many generated tokens. The policy's own rollouts label the steps of its right paths, and a pair sets a right
# path whose steps all passed above a wrong one (the arm `labels` of arms.sh). Prints one table at the end. ORPO restarts
# from M0, the fine-tuned model, so what round 2 gains over SFT comes from the pairs and not from another pass over the
# SFT data.
#
#   SEED=1 MODE=continue OUT=runs/one bash demo.sh
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export OUT=${OUT:-runs/demo} FIRST=labels
SEED=${SEED:-0} MODE=${MODE:-restart}
# The seed decides the test and out-of-domain problems too. No setting was chosen by looking at them.
export SFT_N=${SFT_N:-72} QUESTIONS_N=${QUESTIONS_N:-1600} TEST_N=${TEST_N:-1000} OOD_N=${OOD_N:-500}
export TEST_SEED=$((1000 + SEED))
# The arms run side by side, each on half of the cores.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((($(getconf _NPROCESSORS_ONLN) + 1) / 2))}
began=$(date +%s)
arms() { ARMS=$1 exec bash "$HERE/arms.sh" --config "$HERE/demo.toml" --rounds 2 "--$MODE" --base m0 --seed "$SEED"; }

mkdir -p "$OUT"
set -m # a process group of its own, which can be ended with all that it has started
(arms "siof siof-tokens") > "$OUT/outcome.log" 2>&1 & # they start when the method has sampled
other=$!
set +m
trap 'kill -- -$other 2> /dev/null || true' EXIT # if the method fails, they would wait for its pairs for ever
(arms labels)
echo "waiting for outcome feedback, which writes to $OUT/outcome.log" >&2
wait $other || { tail -n 5 "$OUT/outcome.log" >&2; exit 1; }
trap - EXIT

echo
sipf report "$OUT/labels" "$OUT/siof" "$OUT/siof-tokens"
echo
echo "took $(($(date +%s) - began)) seconds"
