"""HDF5 files as BlenderProc writes them and `blenderproc vis hdf5` shows them: one for each view.

Keys, types and value ranges are those of its write_hdf5. README.md has them.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from scenegen.contract.records import FLOOR_ID, WALL_ID
from scenegen.export.conventions import first_pixel_at_zero, opengl_camera
from scenegen.export.exporter import SceneExporter
from scenegen.export.selection import SceneViews, SelectedView

IMAGES = ("rgb", "depth_m", "instance_id", "normal_cam")
NOTHING_HIT_M = 1e10
"""The depth that Blender's Z pass has where a ray hits nothing."""


class Hdf5Exporter(SceneExporter):
    """SCENE/VIEW.hdf5."""

    how_to_read = "blenderproc vis hdf5 {out}/SCENE/0.hdf5"
    needs = (("h5py", "formats"),)

    def scene(self, chosen: SceneViews) -> dict[str, Any]:
        views = 0
        for selected in self.source.selection.read(chosen, IMAGES):
            name = f"{chosen.scene_index:06d}/{selected.view.view_index}.hdf5"
            self.folder.fill(name, lambda path, selected=selected: _write(path, selected))
            views += 1
        return {"views": views}


def _write(path: Path, selected: SelectedView) -> None:
    import h5py

    view = selected.view
    assert view.rgb is not None and view.depth_m is not None
    assert view.instance_id is not None and view.normal_cam is not None
    images = {
        "colors": view.rgb,
        "depth": np.nan_to_num(view.depth_m, nan=NOTHING_HIT_M).astype(np.float32),
        "instance_segmaps": view.instance_id,
        "normals": _coloured(view.normal_cam),
    }
    with h5py.File(path, "w", track_order=True) as file:
        for key, image in images.items():
            file.create_dataset(key, data=image, compression="gzip")
        file.create_dataset("instance_attribute_maps", data=_text(_attributes(selected)))
        camera = {
            "cam_K": first_pixel_at_zero(view.K_px).tolist(),
            "cam2world_matrix": opengl_camera(view.T_world_cam).tolist(),
        }
        file.create_dataset("campose", data=_text([camera]))


def _coloured(normal_cam: np.ndarray) -> np.ndarray:
    """Normals of an OpenGL camera (x right, y up, z backward) in [0, 1]; the middle where nothing was hit."""
    opengl = np.nan_to_num(normal_cam) * np.array([1, -1, -1], np.float32)
    return (0.5 + 0.5 * opengl).astype(np.float32)


def _attributes(selected: SelectedView) -> list[dict[str, Any]]:
    """A record for background, floor, wall and each object that passes: what its value in `instance_segmaps` is."""
    view = selected.view
    assert view.instance_id is not None
    records: list[dict[str, Any]] = [
        {"idx": number, "name": name, "category_id": 0}
        for number, name in ((0, "background"), (FLOOR_ID, "floor"), (WALL_ID, "wall"))
    ]
    for seen in selected.objects:
        records.append(
            {
                "idx": seen.instance_id,
                "name": seen.asset_uid,
                "category_id": 1,
                "local2world_matrix": seen.T_world_obj.tolist(),
                "visible_px": seen.facts.visible_px,
                "amodal_px": seen.facts.amodal_px,
                "occlusion": seen.facts.occlusion,
            }
        )
    return records


def _text(content: Any) -> np.bytes_:
    return np.bytes_(json.dumps(content).encode())
