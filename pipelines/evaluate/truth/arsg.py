"""Ground truth in the official ARSG test set's layout.

    ROOT/<scene>/transforms.json, 000.png, 000_index.png, 000_depth.png
    ASSETS/<sha256>/mesh.ply

Frame 0 of each scene is judged. `mesh.ply` is assumed to be canonical, within [-0.5, 0.5]^3, and this is checked.
World = rand_scale * Rz(rand_rot[2]) * v - rand_trans. The set itself is not downloaded by this project: the authors
offer it with their code (D-Robotics-AI-Lab/3D-Fixer).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.evaluate.files.checked import UnexpectedLayout, matrix, need, need_key, read_grey, read_json, read_rgb
from pipelines.evaluate.files.meshes import read_shape
from pipelines.evaluate.metrics.frames import pose_matrix
from pipelines.evaluate.records.truth import TruthObject, TruthView
from pipelines.evaluate.truth.cameras import from_opengl, pinhole
from pipelines.evaluate.truth.selection import evenly_spaced, ids_of_index_png, large_enough, largest_instances

_FRAME = 0
_CANONICAL_HALF = 0.5 + 1e-3
_BACKGROUND_CODE = 65535


@dataclass(frozen=True, slots=True)
class ArsgTruth:
    """One view a scene. largest, min_ratio: as in `ShardTruth`."""

    root: Path
    assets: Path
    keys: tuple[str, ...]
    largest: int
    min_ratio: float
    name: str = "arsg"

    @classmethod
    def open(cls, root: Path, assets: Path, largest: int, min_ratio: float, limit: int) -> ArsgTruth:
        """Raises UnexpectedLayout if no scene is there."""
        need(root, "the ARSG test set")
        need(assets, "the folder of asset meshes")
        keys = sorted(path.parent.name for path in root.glob("*/transforms.json"))
        if not keys:
            need(root / "<scene>" / "transforms.json", "a scene of the ARSG test set")
        return cls(root, assets, tuple(evenly_spaced(keys, limit)), largest, min_ratio)

    def view(self, key: str) -> TruthView:
        folder = self.root / key
        path = folder / "transforms.json"
        scene = read_json(path, "the scene's description")
        frame = need_key(scene, ["frames"], path)[_FRAME]
        stem = Path(need_key(frame, ["file_path"], path)).stem
        rgb_HW3 = read_rgb(folder / f"{stem}.png")
        height, width = rgb_HW3.shape[:2]
        instance_HW = ids_of_index_png(read_grey(folder / f"{stem}_index.png", "the index image"))
        judged = large_enough(instance_HW, largest_instances(instance_HW, self.largest), self.min_ratio)
        instances = need_key(scene, ["instance"], path)
        return TruthView(
            key=key,
            scene=key,
            rgb_HW3=rgb_HW3,
            instance_HW=instance_HW,
            depth_HW=_depth(folder / f"{stem}_depth.png", need_key(frame, ["depth"], path)),
            K_px=pinhole((width, height), need_key(frame, ["camera_angle_x"], path)),
            T_world_cam=from_opengl(matrix(need_key(frame, ["transform_matrix"], path), (4, 4), path)),
            objects=tuple(self._object(i, need_key(instances, [str(i)], path), path, instance_HW) for i in judged),
        )

    def depth_estimate(self, key: str, estimator: str) -> tuple[np.ndarray, bool]:
        raise UnexpectedLayout("no estimated depth comes with this test set; EstimatedDepthTruth estimates it")

    def _object(self, instance_id: int, values: Mapping[str, Any], where: Path, ids_HW: np.ndarray) -> TruthObject:
        sha256 = str(need_key(values, ["sha256"], where))
        mesh = read_shape(need(self.assets / sha256 / "mesh.ply", "the mesh of an asset"))
        if np.abs(mesh.vertices_V3).max() > _CANONICAL_HALF:
            raise UnexpectedLayout(f"the mesh of asset {sha256} leaves [-0.5, 0.5]^3; canonical meshes are expected")
        T_world_obj = pose_matrix(
            need_key(values, ["rand_trans"], where),
            float(need_key(values, ["rand_scale"], where)),
            float(need_key(values, ["rand_rot"], where)[2]),
        )
        visible_px = int((ids_HW == instance_id).sum())
        return TruthObject(instance_id, mesh.moved(T_world_obj), T_world_obj, visible_px, asset_uid=sha256)


def _depth(path: Path, span: Mapping[str, float]) -> np.ndarray:
    """(H, W) float32 planar depth in metres: 16-bit codes from min to max; the highest code is background."""
    codes = read_grey(path, "the depth image").astype(np.float64)
    depth = codes / _BACKGROUND_CODE * (span["max"] - span["min"]) + span["min"]
    return np.where((codes < _BACKGROUND_CODE) & (depth > 0), depth, np.nan).astype(np.float32)
