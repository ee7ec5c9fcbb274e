"""Visible and unseen views of an object, and the pictures of truth and prediction from them.

Pictures of the truth are the clean renders of the objects tables ("feature" views, uniform over the sphere);
predictions are rendered from the same cameras. The paper does not say which views it took; here

    visible   the 3 stored views whose direction from the object's centre is nearest to the input camera's
    unseen    the 3 nearest to that direction, rotated by 180 degrees about the object's vertical axis

so that both sets are near the elevation of the input camera.
Shapes: V vertices, N views or colourings, A attributes, S edge of a picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pipelines.errors import PipelineError
from pipelines.evaluate.records.shapes import Shape
from pipelines.evaluate.records.truth import TruthObject
from pipelines.rendering import View, render_mesh
from scenegen.contract.object_dataset import ObjectDataset
from scenegen.contract.objects import ObjectView

Side = Literal["visible", "unseen"]
SIDES: tuple[Side, ...] = ("visible", "unseen")
VIEWS_EACH = 3
PICTURE_PX = 256
BACKGROUND = 1.0  # white, behind truth and prediction alike


@dataclass(frozen=True, slots=True)
class CleanViews:
    """The clean renders of one asset. positions_N3: of their cameras, in the canonical frame of the asset."""

    objects: ObjectDataset
    uid: str
    positions_N3: np.ndarray

    @classmethod
    def of(cls, objects: ObjectDataset, uid: str) -> CleanViews:
        """Raises PipelineError if there are too few views."""
        try:
            count = objects.num_views(uid, "feature")
        except FileNotFoundError as error:
            raise PipelineError(f"rendering metrics compare with clean renders: {error}") from error
        if count < 2 * VIEWS_EACH:
            raise PipelineError(f"asset {uid} has {count} clean renders; at least {2 * VIEWS_EACH} are needed")
        views = [objects.view(uid, "feature", i, images=()) for i in range(count)]
        return cls(objects, uid, np.array([view.T_obj_cam[:3, 3] for view in views]))

    def nearest(self, direction_3: np.ndarray) -> list[int]:
        """Indices of the views closest in angle to a direction from the object's centre."""
        unit_N3 = self.positions_N3 / np.linalg.norm(self.positions_N3, axis=1, keepdims=True)
        return np.argsort(-unit_N3 @ direction_3, kind="stable")[:VIEWS_EACH].tolist()

    def read(self, index: int) -> ObjectView:
        return self.objects.view(self.uid, "feature", index, images=("rgba",))


def input_direction(one: TruthObject, T_world_cam: np.ndarray, side: Side) -> np.ndarray:
    """(3,) unit vector, canonical frame: from the object's centre to the input camera, or to the unseen side."""
    assert one.T_world_obj is not None
    camera_3 = (np.linalg.inv(one.T_world_obj) @ T_world_cam[:, 3])[:3]
    direction_3 = camera_3 / np.linalg.norm(camera_3)
    return direction_3 if side == "visible" else direction_3 * np.array([-1.0, -1.0, 1.0])


def truth_picture(view: ObjectView) -> Tensor:
    """[3, S, S] in [0, 1]: a clean render on the background."""
    assert view.rgba is not None
    rgba = view.rgba.astype(np.float32) / 255
    on_white = rgba[..., :3] * rgba[..., 3:] + BACKGROUND * (1 - rgba[..., 3:])
    picture = Image.fromarray((on_white * 255).round().astype(np.uint8))
    picture = picture.resize((PICTURE_PX, PICTURE_PX), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.asarray(picture, np.float32) / 255).permute(2, 0, 1)


def truth_mask(view: ObjectView) -> Tensor:
    """[S, S] bool: the pixels of `truth_picture` that the object covers by at least half."""
    assert view.rgba is not None
    alpha = Image.fromarray(view.rgba[..., 3]).resize((PICTURE_PX, PICTURE_PX), Image.Resampling.BOX)
    return torch.from_numpy(np.asarray(alpha) > 127)


def prediction_picture(shape: Shape, one: TruthObject, view: ObjectView, device: str = "cpu") -> Tensor:
    """[3, S, S] in [0, 1]: a coloured surface in the world, rendered from the camera of a clean view without lighting.

    Completed colours already contain the lighting of the clean renders that the networks learned from.
    """
    assert shape.colors_V3 is not None
    return picture_and_mask(shape, shape.colors_V3[None], one, view, device)[0][0]


def picture_and_mask(
    shape: Shape, colors_NV3: np.ndarray, one: TruthObject, view: ObjectView, device: str = "cpu"
) -> tuple[Tensor, Tensor]:
    """One surface in N colourings, rendered as in `prediction_picture`.

    Returns [N, 3, S, S] in [0, 1], and the silhouette, [S, S] bool.
    """
    assert one.T_world_obj is not None
    canonical = shape.moved(np.linalg.inv(one.T_world_obj))
    width, height = view.size_px
    K_norm = torch.tensor(view.K_px / np.array([[width], [height], [1]]), dtype=torch.float32)
    camera = View(torch.tensor(view.T_obj_cam, dtype=torch.float32), K_norm, (PICTURE_PX, PICTURE_PX))
    painted_VA = np.concatenate(list(colors_NV3), axis=1)
    picture = render_mesh(
        torch.tensor(canonical.vertices_V3, dtype=torch.float32, device=device),
        torch.tensor(canonical.faces_F3, dtype=torch.int64, device=device),
        camera,
        torch.tensor(painted_VA, dtype=torch.float32, device=device) / 255,
        BACKGROUND,
    )
    assert picture.attributes_AHW is not None
    painted = picture.attributes_AHW.clamp(0, 1).reshape(len(colors_NV3), 3, PICTURE_PX, PICTURE_PX)
    return painted.cpu(), (picture.mask_HW >= 0.5).cpu()
