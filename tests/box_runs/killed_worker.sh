#!/bin/bash
# The box worker, killed at a moment that a file says: killed_worker.sh PYTHON MOMENTS. Each start takes the first line
# of MOMENTS (seconds, or "lives") away; when there is none left, it lives.
moment=$(flock "$2.lock" bash -c 'head -n 1 "$0"; sed -i 1d "$0"' "$2")
if [ "${moment:-lives}" != lives ]; then
    (sleep "$moment" && kill -9 $$) </dev/null >/dev/null 2>&1 &
fi
exec "$1" "$(dirname "$0")/worker.py"
