#!/bin/bash
# A dataset on a Ray cluster: start Ray on every node, then one driver on any of them.
#
#   on the first node:   ray_cluster.sh head
#   on every other node: ray_cluster.sh worker FIRST_NODE
#   then, on any node:   ray_cluster.sh render --num-scenes 110000 --out s3://bucket/data
#
# What follows `head` and `worker FIRST_NODE` goes to `ray start`, e.g. --num-cpus 8. The same Python environment must be
# on every node, and --out must be reachable from all of them. Workers that join later are used; a node that is lost
# costs the scenes that it had in hand. Stop with: ray stop
#
# Whoever reaches the head's port may run code on the cluster, unless it asks for a token. `head` makes one, once, in
# ~/.ray/auth_token. Homes that are shared have it everywhere; otherwise bring it to each node, before `worker`:
#   scp FIRST_NODE:.ray/auth_token ~/.ray/auth_token
# or set RAY_AUTH_TOKEN, or RAY_AUTH_TOKEN_PATH to a file. It also lets a driver in that is no node of the cluster:
#   scenegen render --ray-address FIRST_NODE:6379 ...
set -euo pipefail

PORT=${RAY_PORT:-6379}
TOKEN=${RAY_AUTH_TOKEN_PATH:-$HOME/.ray/auth_token}
export RAY_AUTH_MODE=${RAY_AUTH_MODE:-token}

lacks_token() { [ "$RAY_AUTH_MODE" = token ] && [ -z "${RAY_AUTH_TOKEN:-}" ] && [ ! -s "$TOKEN" ]; }

case "${1:?head, worker or render}" in
    head)
        if lacks_token; then # readable by its owner alone
            (
                umask 077
                mkdir -p "$(dirname "$TOKEN")"
                token=$(env -u RAY_AUTH_TOKEN_PATH ray get-auth-token --generate)
                echo -n "$token" >"$TOKEN"
            )
        fi
        ray start --head --port "$PORT" --disable-usage-stats "${@:2}"
        ;;
    worker)
        if lacks_token; then
            echo "no token of the cluster in $TOKEN; bring it from the head, for example:" >&2
            echo "  mkdir -p $(dirname "$TOKEN") && scp ${2:-FIRST_NODE}:.ray/auth_token $TOKEN" >&2
            exit 1
        fi
        ray start --address "${2:?the first node}:$PORT" --disable-usage-stats "${@:3}"
        ;;
    render) scenegen render --ray-address auto "${@:2}" ;;
    *) echo "head, worker or render?" >&2 && exit 2 ;;
esac
