#!/usr/bin/env bash
# A training command on many GPUs, by accelerate launch.
#
#   bash train.sh ddp   8 orpo pairs.jsonl --model m0 -o m1         # 8 GPUs of this machine
#   bash train.sh fsdp2 16 sft problems.jsonl -m base -o m0         # on each of 2 machines, with NODES, NODE and HEAD
#   bash train.sh ddp   8 --program python mine.py                  # another program
#
# NODES machines (1), of which this is number NODE (0; under srun SLURM_NODEID); HEAD is the address of number 0, PORT a
# port that is free there.
# The exit code is that of the command, as of a run without a launcher: 75 says that the same line resumes.
set -uo pipefail
HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
case "${1:-}" in
  ddp | fsdp2 | zero3) ;;
  *) echo "usage: train.sh ddp|fsdp2|zero3 PROCESSES COMMAND..." >&2; exit 2 ;;
esac
CONFIG="$HERE/$1.yaml" PROCESSES="${2:?how many processes, over all machines}"
shift 2
where=(--num_machines "${NODES:-1}" --machine_rank "${NODE:-${SLURM_NODEID:-0}}" --main_process_port "${PORT:-0}")
[ "${NODES:-1}" = 1 ] || where+=(--main_process_ip "${HEAD:?the address of machine 0}")
if [ "${1:-}" = --program ]; then program=(--no_python "${@:2}"); else program=(-m sipf_cli "$@"); fi

# accelerate ends with 1 however the command ends, and names the codes in its last lines.
said="$(mktemp)"
trap 'rm -f "$said"' EXIT
accelerate launch --config_file "$CONFIG" --num_processes "$PROCESSES" "${where[@]}" "${program[@]}" \
  2> >(tee "$said" >&2) &
launched=$!
trap 'kill -TERM "$launched" 2>/dev/null' TERM USR1
wait "$launched"
code=$?
while kill -0 "$launched" 2>/dev/null; do wait "$launched"; code=$?; done # a signal ends a wait
[ "$code" = 0 ] && exit 0
sleep 0.2 # for what tee still has to write
if grep -Eq 'exitcode *: 75 |got signal: 15' "$said"; then exit 75; fi
named="$(sed -nE 's/.*exitcode *: ([0-9]+) .*/\1/p' "$said" | tail -n 1)"
exit "${named:-$code}"
