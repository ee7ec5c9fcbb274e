"""A decoded view as the tensors that networks take, and several of them as a batch.

Shapes: H, W image; N objects; B samples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import default_collate

from scenegen.contract.records import View, ViewObject

OBJECTS = "objects"


class ObjectTensors(TypedDict):
    """Objects of a view, in the order of their ids.

    instance_id: [N] int64, their pixels in the sample's instance_id. asset_uid: N names of their models.
    visible_px, amodal_px: [N] int64. occlusion, truncation: [N] float32, shares.
    visible_box_px, amodal_box_px: [N, 4] float32, x0, y0, x1, y1 in pixels, x1 and y1 exclusive.
    T_world_obj: [N, 4, 4] float32, canonical object coordinates (centred, longest side 1, z up) to world metres.
    """

    instance_id: Tensor
    asset_uid: list[str]
    visible_px: Tensor
    amodal_px: Tensor
    occlusion: Tensor
    truncation: Tensor
    visible_box_px: Tensor
    amodal_box_px: Tensor
    T_world_obj: Tensor


class ViewSample(TypedDict, total=False):
    """One view. Images are there if they were asked for, objects likewise.

    number: of the view in the dataset, for `Dataset.view`. scene_index, view_index: its keys in the tables.
    K_px: [3, 3] float32, pixels; the centre of the first pixel is (0.5, 0.5).
    T_world_cam: [4, 4] float32, camera to world, metres, OpenCV axes.
    rgb, albedo: [3, H, W] uint8, sRGB.
    depth_m, depth_opaque_m: [1, H, W] float32, planar z, NaN where nothing was hit.
    instance_id, instance_id_opaque: [H, W] int32: 0 background, 1 floor, 2 wall, 3 and up objects.
    normal_cam, normal_cam_opaque: [3, H, W] float32, unit, camera axes, NaN where nothing was hit.
    """

    number: int
    scene_index: int
    view_index: int
    K_px: Tensor
    T_world_cam: Tensor
    rgb: Tensor
    albedo: Tensor
    depth_m: Tensor
    depth_opaque_m: Tensor
    instance_id: Tensor
    instance_id_opaque: Tensor
    normal_cam: Tensor
    normal_cam_opaque: Tensor
    objects: ObjectTensors


def view_sample(number: int, view: View, images: Sequence[str], objects: Sequence[ViewObject] | None) -> ViewSample:
    """images: names of View's images that were decoded. objects: those to tell of; None for a sample without any."""
    sample: dict[str, Any] = {
        "number": number,
        "scene_index": view.scene_index,
        "view_index": view.view_index,
        "K_px": torch.from_numpy(view.K_px.astype(np.float32)),
        "T_world_cam": torch.from_numpy(view.T_world_cam.astype(np.float32)),
    }
    for name in images:
        sample[name] = _image(getattr(view, name))
    if objects is not None:
        sample[OBJECTS] = _objects(objects)
    return sample  # type: ignore[return-value]  # its keys are data


def collate_views(samples: Sequence[ViewSample]) -> dict[str, Any]:
    """A batch, for DataLoader's collate_fn: everything stacked, but a list of B dictionaries of each view's objects.

    Samples without objects need no collate_fn. Raises RuntimeError for images of different sizes, as PyTorch's own.
    """
    batch = default_collate([{key: value for key, value in sample.items() if key != OBJECTS} for sample in samples])
    if samples and OBJECTS in samples[0]:
        batch[OBJECTS] = [sample["objects"] for sample in samples]
    return batch


def _image(image: np.ndarray) -> Tensor:
    """(H, W, C) to [C, H, W]; metres to [1, H, W]; ids to [H, W] int32, because torch has little that takes uint16."""
    if image.dtype == np.uint16:
        return torch.from_numpy(image.astype(np.int32))
    if image.ndim == 2:
        return torch.from_numpy(image)[None]
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


def _objects(seen: Sequence[ViewObject]) -> ObjectTensors:
    def of_facts(name: str, dtype: torch.dtype, *shape: int) -> Tensor:
        return torch.tensor([getattr(o.facts, name) for o in seen], dtype=dtype).reshape(len(seen), *shape)

    poses = [o.T_world_obj.astype(np.float32) for o in seen]
    return {
        "instance_id": of_facts("instance_id", torch.int64),
        "asset_uid": [o.asset_uid for o in seen],
        "visible_px": of_facts("visible_px", torch.int64),
        "amodal_px": of_facts("amodal_px", torch.int64),
        "occlusion": of_facts("occlusion", torch.float32),
        "truncation": of_facts("truncation", torch.float32),
        "visible_box_px": of_facts("visible_box_px", torch.float32, 4),
        "amodal_box_px": of_facts("amodal_box_px", torch.float32, 4),
        "T_world_obj": torch.from_numpy(np.stack(poses) if poses else np.empty((0, 4, 4), np.float32)),
    }


Transform = Callable[[ViewSample], Any]
"""What a user does with each sample before it is batched."""
