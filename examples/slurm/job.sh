#!/usr/bin/env bash
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@300
# Runs one command as a Slurm job that may be stopped at any time: at the time limit and before it is preempted the
# command is sent SIGTERM, writes down what is finished, and the job is put in the queue again, where it resumes.
#
#   sbatch --array=0-7 --time=4:00:00 --gpus=1 job.sh sipf sample problems.jsonl --model m0 --shard slurm/8 -o 'paths.{shard}.jsonl'
#
# RESTARTS: how often at most (100). A command that fails otherwise ends the job with its exit code.
set -uo pipefail
# For accelerate over several machines: where the first of them is, and a port that the jobs of one machine do not share.
HEAD="$(scontrol show hostnames "${SLURM_JOB_NODELIST:-localhost}" | head -n 1)"
export HEAD PORT=$((20000 + SLURM_JOB_ID % 10000)) NODES="${SLURM_JOB_NUM_NODES:-1}"

"$@" &
running=$!
trap 'kill -TERM "$running" 2>/dev/null' USR1 TERM
wait "$running"
code=$?
while kill -0 "$running" 2>/dev/null; do wait "$running"; code=$?; done # a signal ends a wait

if [ "$code" = 75 ] && [ "${SLURM_RESTART_COUNT:-0}" -lt "${RESTARTS:-100}" ]; then
  echo "job.sh: stopped; the job is queued again" >&2
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
