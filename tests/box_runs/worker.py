"""A scene worker for tests: thirty boxes for assets, the real sampler and box renderer, and troubles on demand.

Run as: python worker.py TROUBLES, a JSON object such as {"hang": [3], "crash": [5], "corrupt": ["box/7"]}.
"""

import json
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from scenegen.assets.manifest import AssetRecord
from scenegen.contract.records import ViewImages
from scenegen.errors import AssetError, SceneError
from scenegen.layout.spec import SceneSpec
from scenegen.scenes.box_renderer import BoxLibrary, BoxRenderer
from scenegen.scenes.maker import SceneTools
from scenegen.scenes.worker import serve
from scenegen.scenes.worker_job import WorkerJob


class Records:
    """Thirty boxes of believable proportions."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.records = {}
        for number in range(30):
            sides = rng.uniform(0.2, 1.0, 3)
            extents = tuple(float(side) for side in sides / sides.max())
            uid = f"box/{number}"
            self.records[uid] = AssetRecord(
                uid,
                "box",
                f"{number}.glb",
                f"{number:064x}",
                1,
                "CC0-1.0",
                "nobody",
                "",
                True,
                "train",
                extents=extents,
            )


class TroubledRenderer:
    """The box renderer with the misfortunes that Blender may have."""

    def __init__(self, library: BoxLibrary, troubles: dict) -> None:
        self._inner = BoxRenderer(library)
        self._troubles = troubles

    def render(self, spec: SceneSpec) -> Iterator[ViewImages]:
        troubles, scene = self._troubles, spec.scene_index
        for each in spec.objects:
            if each.asset_uid in troubles.get("corrupt", ()):
                raise AssetError(each.asset_uid, "truncated file")
        if scene in troubles.get("hang", ()):
            time.sleep(3600)
        if scene in troubles.get("crash", ()):
            os.kill(os.getpid(), signal.SIGSEGV)
        if scene in troubles.get("killed", ()):
            os.kill(os.getpid(), signal.SIGKILL)
        if scene in troubles.get("crash_once", ()):
            mark = Path(troubles["marks"]) / f"crashed-{scene}"
            if not mark.exists():
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        if troubles.get("fail_all") or scene in troubles.get("fail", ()):
            raise SceneError("nothing to see")
        if scene in troubles.get("raise", ()):
            raise KeyError("a bug")
        time.sleep(troubles.get("seconds", 0.0))
        yield from self._inner.render(spec)

    def close(self) -> None:
        self._inner.close()


def open_tools(job: WorkerJob) -> SceneTools:
    library = BoxLibrary(Records())
    troubles = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}
    if "file_limit" in troubles:
        resource.setrlimit(resource.RLIMIT_FSIZE, (troubles["file_limit"], troubles["file_limit"]))
    return SceneTools(library, ["hdri/sky"], [], TroubledRenderer(library, troubles))


if __name__ == "__main__":
    serve(open_tools)
