#!/usr/bin/env bash
# One round of the loop as Slurm jobs, each of which waits for those before it: run this where sbatch is.
#
#   bash round.sh problems.jsonl runs/m0 runs/r1
#
# From problems and a policy M0 to runs/r1/paths.jsonl, labels.jsonl, the reward model prm, scored.jsonl, pairs.jsonl and
# the next policy m1. Variables:
#   SHARDS   tasks of each array (8)               GPUS     GPUs of a training job, over all machines (8)
#   NODES    machines of a training job (1)        HOW      ddp, fsdp2 or zero3 (ddp)
#   CONFIG   settings, as for sipf --config        BASE     what orpo starts from (the policy)
#   ARRAY, TRAINING, SHORT: further options of sbatch for arrays, training and the rest, as "--partition=gpu --gpus=1"
# The same line again does again only what is not complete.
set -euo pipefail
HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
PROBLEMS="${1:?usage: round.sh PROBLEMS MODEL FOLDER}" MODEL="${2:?which policy}" OUT="${3:?which folder}"
SHARDS="${SHARDS:-8}" GPUS="${GPUS:-8}" NODES="${NODES:-1}" HOW="${HOW:-ddp}" BASE="${BASE:-$MODEL}"
read -r -a ARRAY <<<"${ARRAY:-}"; read -r -a TRAINING <<<"${TRAINING:-}"; read -r -a SHORT <<<"${SHORT:-}"
sipf=(sipf ${CONFIG:+--config "$CONFIG"})
mkdir -p "$OUT/log"

after=""
submit() { # submit NAME OPTION... -- COMMAND...: one more job, after the last one
  local name="$1" options=() id; shift
  while [ "$1" != -- ]; do options+=("$1"); shift; done
  shift
  id="$(sbatch --parsable --job-name "$name" --output "$OUT/log/$name-%A-%a.txt" ${after:+--dependency="afterok:$after" --kill-on-invalid-dep=yes} \
    ${options[@]+"${options[@]}"} "$HERE/job.sh" "$@")"
  after="${id%%;*}" # with several clusters sbatch says which
  echo "$name: job $after"
}

over_lines() { # over_lines STAGE INPUT OUTPUT OPTION...: an array, and the job that joins its shards
  local stage="$1" input="$2" output="$3" shards=() i; shift 3
  for ((i = 0; i < SHARDS; i++)); do shards+=("${output%.jsonl}.$i.jsonl"); done
  submit "$stage" --array="0-$((SHARDS - 1))" ${ARRAY[@]+"${ARRAY[@]}"} -- \
    "${sipf[@]}" "$stage" "$input" "$@" --shard "slurm/$SHARDS" -o "${output%.jsonl}.{shard}.jsonl"
  submit "$stage-merge" ${SHORT[@]+"${SHORT[@]}"} -- sipf merge "${shards[@]}" -o "$output"
}

training() { # training STAGE ARGUMENT...: over one process per GPU
  local stage="$1" line=("${sipf[@]}" "$@") # a job of one GPU needs no launcher
  if [ "$GPUS" -gt 1 ]; then
    line=(bash "$HERE/../accelerate/train.sh" "$HOW" "$GPUS" ${CONFIG:+--config "$CONFIG"} "$@")
    [ "$NODES" = 1 ] || line=(srun --ntasks-per-node=1 "${line[@]}")
  fi
  submit "$stage" --nodes="$NODES" ${TRAINING[@]+"${TRAINING[@]}"} -- "${line[@]}"
}

over_lines sample "$PROBLEMS" "$OUT/paths.jsonl" --model "$MODEL"
over_lines simulate "$OUT/paths.jsonl" "$OUT/labels.jsonl" --model "$MODEL"
training train-prm "$OUT/labels.jsonl" --model "$BASE" -o "$OUT/prm"
over_lines score "$OUT/labels.jsonl" "$OUT/scored.jsonl" --model "$OUT/prm"
submit pairs ${SHORT[@]+"${SHORT[@]}"} -- "${sipf[@]}" pairs "$OUT/scored.jsonl" -o "$OUT/pairs.jsonl"
training orpo "$OUT/pairs.jsonl" --model "$BASE" -o "$OUT/m1"
