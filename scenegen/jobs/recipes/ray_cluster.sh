#!/bin/bash
# A dataset on a Ray cluster: start Ray on every node, then one driver on any of them.
#
#   on the first node:   ray_cluster.sh head
#   on every other node: ray_cluster.sh worker FIRST_NODE
#   then, on any node:   ray_cluster.sh render --num-scenes 110000 --out s3://bucket/data
#
# The same Python environment must be on every node, and --out must be reachable from all of them. Workers that join
# later are used; a node that is lost costs the scenes that it had in hand. Stop with: ray stop
set -euo pipefail

PORT=${RAY_PORT:-6379}

case "${1:?head, worker or render}" in
    head) ray start --head --port "$PORT" --disable-usage-stats ;;
    worker) ray start --address "${2:?the first node}:$PORT" --disable-usage-stats ;;
    render) scenegen render --ray-address auto "${@:2}" ;;
    *) echo "head, worker or render?" >&2 && exit 2 ;;
esac
