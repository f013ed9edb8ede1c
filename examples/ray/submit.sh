#!/usr/bin/env bash
# A stage over lines as a job on a Ray cluster: the driver runs on the head, the models in actors on all machines.
#
#   bash submit.sh 16 sample problems.jsonl --model m0 -o paths.jsonl     # 16 actors
#
# The command runs in this folder, which all machines see under the same path. Variables:
#   DASHBOARD  where jobs are handed in (http://127.0.0.1:8265, for which `ray dashboard cluster.yaml` opens a way)
#   RESTARTS   how often a job that was interrupted (exit code 75) is handed in again; it resumes (100)
# The exit code is that of the command.
set -uo pipefail
REPLICAS="${1:?usage: submit.sh ACTORS STAGE...}"
shift
printf -v folder '%q' "$PWD"
printf -v command '%q ' sipf "$@" --ray auto --replicas "$REPLICAS"
# The line travels as a variable: Ray puts the words of an entrypoint together as Windows does.
environment="$(python3 -c 'import json, sys
print(json.dumps({"env_vars": {"RAY_USAGE_STATS_ENABLED": "0", "JOB": sys.argv[1]}}))' "cd $folder && exec $command")"
said="$(mktemp)"
trap 'rm -f "$said"' EXIT
for ((run = 0; run <= ${RESTARTS:-100}; run++)); do
  ray job submit --address "${DASHBOARD:-http://127.0.0.1:8265}" \
    --runtime-env-json "$environment" -- eval '$JOB' 2>&1 | tee "$said"
  code="${PIPESTATUS[0]}"
  [ "$code" = 0 ] && exit 0
  named="$(sed -nE 's/.*exit code ([0-9]+).*/\1/p' "$said" | tail -n 1)" # ray itself ends with 1
  code="${named:-$code}"
  [ "$code" = 75 ] || break
  echo "submit.sh: interrupted; the job is handed in again" >&2
done
exit "$code"
