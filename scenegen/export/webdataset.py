"""WebDataset: tar files of samples, each a few files that have a key in common.

https://github.com/webdataset/webdataset. Depth and ids are NumPy archives, because its image decoders silently turn the
16 bits of a PNG into 8.
"""

import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scenegen.contract.records import ViewObject
from scenegen.export.conventions import box_xywh, inverse
from scenegen.export.exporter import Exporter
from scenegen.export.images import png
from scenegen.export.selection import SceneViews, SelectedView

IMAGES = ("rgb", "depth_m", "instance_id")


class WebDatasetExporter(Exporter):
    """views-000000.tar, …: KEY.rgb.png, KEY.maps.npz (depth_m, instance_id) and KEY.json for each view."""

    how_to_read = "webdataset.WebDataset('{out}/views-000000.tar', shardshuffle=False).decode('pil')"
    views_per_unit = 256

    def unit(self, number: int, scenes: Sequence[SceneViews]) -> dict[str, Any]:
        """One tar file: the unit that is written whole."""
        views = 0

        def fill(path: Path) -> None:
            nonlocal views
            with tarfile.open(path, "w") as tar:
                for chosen in scenes:
                    for selected in self.source.selection.read(chosen, IMAGES):
                        views += 1
                        for name, content in _sample(selected):
                            _add(tar, name, content)

        self.folder.fill(f"views-{number:06d}.tar", fill)
        return {"views": views}


def _sample(selected: SelectedView) -> Iterator[tuple[str, bytes]]:
    view, key = selected.view, selected.name
    assert view.rgb is not None and view.depth_m is not None and view.instance_id is not None
    record = {
        "scene_index": view.scene_index,
        "view_index": view.view_index,
        "K_px": view.K_px.tolist(),
        "T_world_cam": view.T_world_cam.tolist(),
        "objects": [_object(o, inverse(view.T_world_cam)) for o in selected.objects],
    }
    yield f"{key}.rgb.png", png(view.rgb)
    maps = io.BytesIO()
    np.savez_compressed(maps, depth_m=view.depth_m, instance_id=view.instance_id)
    yield f"{key}.maps.npz", maps.getvalue()
    yield f"{key}.json", json.dumps(record).encode()


def _object(seen: ViewObject, T_cam_world: np.ndarray) -> dict[str, Any]:
    facts = seen.facts
    return {
        "instance_id": seen.instance_id,
        "asset_uid": seen.asset_uid,
        "licence": seen.scene_object.licence,
        "T_cam_obj": (T_cam_world @ seen.T_world_obj).tolist(),
        "visible_px": facts.visible_px,
        "amodal_px": facts.amodal_px,
        "occlusion": facts.occlusion,
        "truncation": facts.truncation,
        "visible_bbox": box_xywh(facts.visible_box_px),
        "amodal_bbox": box_xywh(facts.amodal_box_px),
    }


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)  # without owner and time: equal data gives equal files
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))
