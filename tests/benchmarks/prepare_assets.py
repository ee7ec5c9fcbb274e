"""What preparing an asset costs, and how good its convex parts are: python tests/benchmarks/prepare_assets.py

Takes every n-th object of the starter pack as if it were a raw file, one after the other in this process.
CPU-seconds, because the machine may be shared. Writes tests/benchmarks/results/prepare_assets.json.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
from scipy.spatial import ConvexHull

from scenegen.assets import AssetLibrary, glb
from scenegen.assets.bake_request import BakeRequest
from scenegen.assets.preparing.convex import convex_parts
from scenegen.blender.importing.canonicalise import canonicalise, check_pose
from scenegen.config import AssetsConfig

RESULT = Path(__file__).parent / "results" / "prepare_assets.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=8)
    every = parser.parse_args().every
    library = AssetLibrary.open(AssetsConfig(split="all"))
    seconds: dict[str, list[float]] = {"bake": [], "pack": [], "check_pose": [], "convex_parts": []}
    parts, pose, share = [], [], []
    for uid in list(library.records)[::every]:
        mesh = library.mesh(uid)
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "out.glb"
            path = library.glb_path(uid)
            timed(seconds["bake"], canonicalise, BakeRequest(uid, path, path.parent), out)
            found = timed(seconds["convex_parts"], convex_parts, mesh.vertices, mesh.faces)
            packed = timed(seconds["pack"], glb.pack, glb.read_glb(out), found.vertices, {}, "")
            out.write_bytes(packed.to_bytes())
            pose.append(timed(seconds["check_pose"], check_pose, uid, out))
        parts.append(len(found.vertices))
        share.append(sum(ConvexHull(p).volume for p in found.vertices) / ConvexHull(mesh.vertices).volume)
    records = list(library.records.values())
    result = {
        "command": f"python tests/benchmarks/prepare_assets.py --every {every}",
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores (shared), one thread",
        "assets": len(parts),
        "cpu_seconds_an_asset": {name: stats(values) for name, values in seconds.items()},
        "parts": stats(parts),
        "parts_volume_over_hull_volume": stats(share),
        "largest_pose_error": max(pose),
        "starter_pack": {
            "objects": len(records),
            "megabytes": round(sum(r.bytes for r in records) / 1e6, 2),
            "faces": stats([r.faces for r in records]),
            "parts": stats([r.parts for r in records]),
            "one_hull": sum(r.parts == 1 for r in records),
            "textured": sum(r.textured for r in records),
        },
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1), flush=True)
    os._exit(0)  # bpy may hang in an ordinary exit


def timed(into: list[float], function, *args):
    started = time.process_time()
    value = function(*args)
    into.append(time.process_time() - started)
    return value


def stats(values: list[float]) -> dict[str, float]:
    return {
        "mean": round(float(np.mean(values)), 3),
        "median": round(float(np.median(values)), 3),
        "max": round(float(np.max(values)), 3),
    }


if __name__ == "__main__":
    main()
