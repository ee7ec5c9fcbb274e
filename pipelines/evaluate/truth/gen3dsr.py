"""Ground truth in the layout of the test set that comes with Gen3DSR. Whole scenes are judged, not objects.

    ROOT/scene_ids.json (or .txt: one a line)     ROOT/annotation/<id>.json     ROOT/rgb/<id>.png or .jpg
    ROOT/depth/<id>.npy       ROOT/gen3dsr_masks/<id>.png       ROOT/sceneobjgt/<id>.ply

Known from the released evaluation script: the folders, and that the surfaces are compared in the camera frame (x
right, y down, z forward) after they are cut by the sides of the camera frustum. The set was not at hand; the following
is assumed, and checked where possible: one file for each id in every folder; the annotation holds the intrinsics in
pixels as `intrinsics`, `K` or `camera_intrinsics`; depth is planar in metres, 0 where unknown; masks hold one label for
each instance, 0 for none.
The set is offered with Gen3DSR (AndreeaDogaru/Gen3DSR); nothing is downloaded here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.evaluate.files.checked import UnexpectedLayout, matrix, need, need_key, read_grey, read_json, read_rgb
from pipelines.evaluate.files.meshes import read_shape
from pipelines.evaluate.records.truth import TruthObject, TruthView
from pipelines.evaluate.truth.selection import evenly_spaced

_INTRINSICS = ["intrinsics", "K", "camera_intrinsics"]


@dataclass(frozen=True, slots=True)
class Gen3dsrTruth:
    """One view a scene. The world frame is the camera frame."""

    root: Path
    keys: tuple[str, ...]
    name: str = "gen3dsr"

    @classmethod
    def open(cls, root: Path, limit: int) -> Gen3dsrTruth:
        """Raises UnexpectedLayout."""
        need(root, "the Gen3DSR test set")
        text = root / "scene_ids.txt"
        ids = text.read_text().split() if text.is_file() else read_json(root / "scene_ids.json", "the list of scenes")
        if not isinstance(ids, list) or not ids:
            raise UnexpectedLayout(f"the list of scenes of {root} must be a list, found {type(ids).__name__}")
        return cls(root, tuple(evenly_spaced([str(one) for one in ids], limit)))

    def view(self, key: str) -> TruthView:
        path = self.root / "annotation" / f"{key}.json"
        K_px = matrix(need_key(read_json(path, "the annotation"), _INTRINSICS, path), (3, 3), path)
        photos = [self.root / "rgb" / f"{key}{suffix}" for suffix in (".png", ".jpg")]
        rgb_HW3 = read_rgb(next((one for one in photos if one.exists()), photos[0]))
        labels_HW = read_grey(self.root / "gen3dsr_masks" / f"{key}.png", "the instance masks")
        depth_HW = np.load(need(self.root / "depth" / f"{key}.npy", "the depth")).astype(np.float32)
        if not rgb_HW3.shape[:2] == labels_HW.shape == depth_HW.shape:
            shapes = f"image {rgb_HW3.shape[:2]}, masks {labels_HW.shape}, depth {depth_HW.shape}"
            raise UnexpectedLayout(f"{key}: image, masks and depth differ in size: {shapes}")
        ids, pixels = np.unique(labels_HW[labels_HW > 0], return_counts=True)
        return TruthView(
            key=key,
            scene=key,
            rgb_HW3=rgb_HW3,
            instance_HW=labels_HW.astype(np.uint16),
            depth_HW=np.where(depth_HW > 0, depth_HW, np.nan),
            K_px=K_px,
            T_world_cam=np.eye(4),
            objects=tuple(TruthObject(int(i), None, None, int(n)) for i, n in zip(ids, pixels, strict=True)),
            whole=read_shape(need(self.root / "sceneobjgt" / f"{key}.ply", "the true surface")),
        )

    def depth_estimate(self, key: str, estimator: str) -> tuple[np.ndarray, bool]:
        raise UnexpectedLayout("no estimated depth comes with this test set; EstimatedDepthTruth estimates it")
