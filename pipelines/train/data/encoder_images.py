"""The images of one object for the image encoders, as bytes: scene, crop, and clean view.

Shapes: H W image, S edge of the encoders' images, C channels.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pipelines.images import crop_box, cut, squeezed_mask
from pipelines.train.data import errors
from pipelines.train.data.resize import mask_of, resized, resized_tensor, squeezed_nearest
from pipelines.train.data.samples import InstanceImages
from pipelines.train.data.scene_views import SceneView
from scenegen.contract.crops import object_crop
from scenegen.contract.object_dataset import ObjectDataset
from scenegen.contract.objects import ObjectView, ViewKind
from scenegen.contract.records import ViewObject


def instance_images(view: SceneView, seen: ViewObject, size: int, clean_3SS: Tensor | None) -> InstanceImages:
    """Scene image and crop of an object, as `pipelines.images` makes them for completion.

    size: edge S. clean_3SS: uint8, a clean view of the asset, or None.
    """
    left, upper, right, lower = seen.facts.visible_box_px
    box = crop_box((left, upper, right - 1, lower - 1))
    crop_4SS = cropped(view.rgb, view.instance_id, seen.instance_id, box, size)
    mask_SS = view.mask_SS(seen.instance_id, size)
    return InstanceImages(view.scene_id, view.image_3SS(size), mask_SS, crop_4SS, clean_3SS)


def cropped(
    rgb_HW3: np.ndarray, ids_HW: np.ndarray, instance_id: int, box: tuple[int, int, int, int], size: int
) -> Tensor:
    """[4, S, S] uint8: RGB and mask (0 or 255) of one instance, cropped to a box and resized; black beyond the image.

    rgb_HW3: uint8. ids_HW: instance ids. instance_id: not 0. box: (left, upper, right, lower) in pixels.
    """
    mask_SS = mask_of(squeezed_nearest(cut(ids_HW, box), size), instance_id)
    return torch.cat([resized(cut(rgb_HW3, box), size), mask_SS[None]])


def blurred(image_CSS: Tensor, edge_px: int | None) -> Tensor:
    """[C, S, S] uint8: an image, with or without a mask, scaled down to `edge_px` and back up; unchanged for None."""
    if edge_px is None:
        return image_CSS
    size = image_CSS.shape[-1]
    colours_3SS = resized_tensor(resized_tensor(image_CSS[:3], edge_px), size)
    masks = [squeezed_mask(squeezed_mask(mask_SS.numpy(), edge_px), size).copy() for mask_SS in image_CSS[3:]]
    return torch.cat([colours_3SS, *(torch.from_numpy(mask_SS)[None] for mask_SS in masks)])


def random_view(objects: ObjectDataset, uid: str, rng: np.random.Generator) -> tuple[ViewKind, int]:
    """Kind and number of a random condition view of an asset, or of a feature view if it has none.

    Raises BadRowError if it has no view.
    """
    with errors.row(f"{objects.root.location}, clean views of asset {uid}"):
        for kind in ("condition", "feature"):
            if count := objects.num_views(uid, kind):
                return kind, int(rng.integers(count))
        raise KeyError("no view is stored")


def clean_image(objects: ObjectDataset, uid: str, rng: np.random.Generator, size: int) -> Tensor:
    """[3, S, S] uint8: the encoders' crop of a random clean view of an asset, on black.

    The stored crop if it has this size, or one made from the view, which is slower and equal bit for bit.
    Raises BadRowError.
    """
    kind, number = random_view(objects, uid, rng)
    with errors.row(f"{objects.root.location}, {kind} view {number} of asset {uid}"):
        crop = objects.view(uid, kind, number, images=["crop"]).crop
        if crop is None or crop.shape[0] != size:
            crop = _crop_of(objects.view(uid, kind, number, images=["rgba"]), size)
    return torch.from_numpy(np.ascontiguousarray(crop.transpose(2, 0, 1)))


def _crop_of(view: ObjectView, size: int) -> np.ndarray:
    assert view.rgba is not None
    return object_crop(view.rgba, size)
