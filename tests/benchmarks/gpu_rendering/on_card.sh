#!/usr/bin/env bash
# One call on a lent card: on_card.sh PARTS FOLDER OUT [options of measure.py run]
# Takes over the parts that came along. With the last one, it unpacks the renderer into FOLDER and measures into OUT.
set -euo pipefail
parts=$1 folder=$2 out=$3
python3 "$parts/unpack.py" "$parts" --into "$folder"
[ -x "$folder/bin/python" ] || exit 0

# OptiX looks for its data here; where containers mount the driver elsewhere, root can tell it.
if [ ! -e /usr/share/nvidia/nvoptix.bin ] && [ -w /usr/share ]; then
    found=$(find /usr/local/nvidia /usr/lib -name nvoptix.bin 2>/dev/null | head -n 1 || true)
    if [ -n "$found" ]; then mkdir -p /usr/share/nvidia && ln -s "$found" /usr/share/nvidia/; fi
fi

export CUDA_CACHE_MAXSIZE=4294967296 # kernels that the driver compiles are large, and every process needs them
exec "$folder/bin/python" "$(dirname "$0")/measure.py" run "$out" "${@:4}"
