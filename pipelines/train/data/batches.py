"""Batches: the stacked samples of one micro-batch, stored compactly; stages read them as dense float tensors.

Fields are stored as they travel to the device: images as bytes (`_u8_` in the name), grids as flat indices of their
occupied voxels (`voxels_`). Properties and methods make dense float32 tensors in [0, 1] of them, on the batch's device.

Shapes: B samples, U distinct scene images among them, S image edge, V and N voxels of all samples, one after the other,
C feature channels, K views, H W their size, P vertices, F faces, R = 64 grid edge, r = 16 latent grid edge.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor

from models.layers.grids import patchify
from models.sparse.voxels import VoxelSet
from pipelines.train.data.samples import SampleName
from pipelines.voxelise import FOLD, RESOLUTION

BatchT = TypeVar("BatchT", bound="Tensors")


class Tensors:
    """Base of frozen dataclasses whose tensors, also nested and in tuples, move to a device together."""

    __slots__ = ()

    def to(self: BatchT, device: torch.device, non_blocking: bool = False) -> BatchT:
        return self._each(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self: BatchT) -> BatchT:
        return self._each(Tensor.pin_memory)

    def _each(self: BatchT, change: Callable[[Tensor], Tensor]) -> BatchT:
        values = {field.name: _changed(getattr(self, field.name), change) for field in fields(self)}  # type: ignore[arg-type]
        return replace(self, **values)  # type: ignore[type-var]


def _changed(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, Tensors):
        return value._each(change)
    if isinstance(value, tuple):
        return tuple(map(partial(_changed, change=change), value))
    return value


@dataclass(frozen=True, slots=True)
class DrawsBatch(Tensors):
    """`Draws`, stacked. time_B, drop_B: float32. noise: float32 [B, 8, r, r, r] or [N, 8]."""

    time_B: Tensor
    drop_B: Tensor
    noise: Tensor


@dataclass(frozen=True, slots=True)
class ImagesBatch(Tensors):
    """`InstanceImages`, stacked; each distinct scene image is stored once.

    scenes_u8_U3SS, scene_masks_u8_BSS, instances_u8_B4SS, cleans_u8_B3SS: uint8, as in InstanceImages.
    scene_B: int64, index of each sample's scene image.
    """

    scenes_u8_U3SS: Tensor
    scene_B: Tensor
    scene_masks_u8_BSS: Tensor
    instances_u8_B4SS: Tensor
    cleans_u8_B3SS: Tensor | None = None

    @property
    def scenes_U3SS(self) -> Tensor:
        """float32 in [0, 1]: the distinct scene images. What is computed from them is indexed by `scene_B`."""
        return _unit(self.scenes_u8_U3SS)

    @property
    def scene_B4SS(self) -> Tensor:
        """float32 in [0, 1]: RGB of the scene, and the mask of the sample's object."""
        return torch.cat([self.scenes_U3SS[self.scene_B], _unit(self.scene_masks_u8_BSS)[:, None]], dim=1)

    @property
    def instance_B4SS(self) -> Tensor:
        """float32 in [0, 1]: RGB of the crop, with the surroundings of the object, and its mask."""
        return _unit(self.instances_u8_B4SS)

    @property
    def clean_B3SS(self) -> Tensor | None:
        """float32 in [0, 1]: the clean view, on black."""
        return None if self.cleans_u8_B3SS is None else _unit(self.cleans_u8_B3SS)


@dataclass(frozen=True, slots=True)
class StructureBatch(Tensors):
    """`StructureSample`s, stacked.

    voxels_target_V, voxels_partial_V: int32, flat indices into [B, R, R, R]. confidence_V: float32, of the partial
    voxels. depth_ratio_B: float32, alpha. T_world_cube_B44: float64.
    """

    names: tuple[SampleName, ...]
    estimators: tuple[str, ...]
    images: ImagesBatch
    voxels_target_V: Tensor
    voxels_partial_V: Tensor
    confidence_V: Tensor
    depth_ratio_B: Tensor
    T_world_cube_B44: Tensor
    draws: DrawsBatch

    def __len__(self) -> int:
        return len(self.names)

    @property
    def scene_B4SS(self) -> Tensor:
        return self.images.scene_B4SS

    @property
    def instance_B4SS(self) -> Tensor:
        return self.images.instance_B4SS

    @property
    def clean_B3SS(self) -> Tensor | None:
        return self.images.clean_B3SS

    @property
    def time_B(self) -> Tensor:
        return self.draws.time_B

    @property
    def drop_B(self) -> Tensor:
        return self.draws.drop_B

    @property
    def noise(self) -> Tensor:
        return self.draws.noise

    def target_occupancy(self) -> Tensor:
        """[B, 1, R, R, R] float32, 0 or 1: voxels of the complete surface."""
        return _dense(self.voxels_target_V, 1.0, len(self))

    def partial_occupancy(self) -> Tensor:
        """[B, 1, R, R, R] float32, 0 or 1: voxels of the visible points."""
        return _dense(self.voxels_partial_V, 1.0, len(self))

    def folded_confidence(self) -> Tensor:
        """[B, 64, r, r, r] float32: the confidence grid folded onto the latent grid."""
        return patchify(_dense(self.voxels_partial_V, self.confidence_V, len(self)), FOLD)


@dataclass(frozen=True, slots=True)
class ShapeBatch(Tensors):
    """`ShapeSample`s, stacked. voxels_target_V: int32, flat indices into [B, R, R, R]. images_u8_B3SS: uint8."""

    names: tuple[SampleName, ...]
    voxels_target_V: Tensor
    images_u8_B3SS: Tensor | None
    draws: DrawsBatch

    def __len__(self) -> int:
        return len(self.names)

    @property
    def image_B3SS(self) -> Tensor | None:
        """float32 in [0, 1], the clean view on black."""
        return None if self.images_u8_B3SS is None else _unit(self.images_u8_B3SS)

    @property
    def time_B(self) -> Tensor:
        return self.draws.time_B

    @property
    def drop_B(self) -> Tensor:
        return self.draws.drop_B

    @property
    def noise(self) -> Tensor:
        return self.draws.noise

    def target_occupancy(self) -> Tensor:
        """[B, 1, R, R, R] float32, 0 or 1: voxels of the shape."""
        return _dense(self.voxels_target_V, 1.0, len(self))


@dataclass(frozen=True, slots=True)
class SparseBatch(Tensors):
    """What batches of structured latents share.

    coords_N4: int32 (sample, x, y, z). Either slat_N8 (float32, posterior means, not normalised) or feats_NC (float16,
    image features for the frozen encoder) is given.
    """

    names: tuple[SampleName, ...]
    coords_N4: Tensor
    slat_N8: Tensor | None
    feats_NC: Tensor | None
    draws: DrawsBatch

    def __len__(self) -> int:
        return len(self.names)

    @property
    def voxels(self) -> VoxelSet:
        """The voxels of the batch. A new object at each call: keep one for all networks of a step, since it caches."""
        return VoxelSet(self.coords_N4, len(self))

    @property
    def time_B(self) -> Tensor:
        return self.draws.time_B

    @property
    def drop_B(self) -> Tensor:
        return self.draws.drop_B

    @property
    def noise_N8(self) -> Tensor:
        return self.draws.noise


@dataclass(frozen=True, slots=True)
class LatentBatch(SparseBatch):
    """`LatentSample`s, stacked. images_u8_B3SS: uint8."""

    images_u8_B3SS: Tensor | None

    @property
    def image_B3SS(self) -> Tensor | None:
        """float32 in [0, 1], the clean view on black."""
        return None if self.images_u8_B3SS is None else _unit(self.images_u8_B3SS)


@dataclass(frozen=True, slots=True)
class TextureBatch(SparseBatch):
    """`TextureSample`s, stacked. Poses and intrinsics: float64. depths_USS: float32, metres, of each distinct scene."""

    images: ImagesBatch
    T_world_grid_B44: Tensor
    T_world_cam_B44: Tensor
    K_norm_B33: Tensor
    depths_USS: Tensor

    @property
    def depth_BSS(self) -> Tensor:
        """float32 planar metres of each sample's scene, NaN where depth is unknown."""
        return self.depths_USS[self.images.scene_B]


@dataclass(frozen=True, slots=True)
class RenderBatch(SparseBatch):
    """`RenderSample`s, stacked. rgba_u8_BK4HW: uint8, straight alpha. Poses and intrinsics: float64.

    vertices (float32 [P, 3]) and faces (int64 [F, 3]) by sample; None if the stage does not ask for them.
    """

    rgba_u8_BK4HW: Tensor
    K_norm_BK33: Tensor
    T_grid_cam_BK44: Tensor
    vertices: tuple[Tensor, ...] | None
    faces: tuple[Tensor, ...] | None

    @property
    def rgba_BK4HW(self) -> Tensor:
        """float32 in [0, 1], straight alpha."""
        return _unit(self.rgba_u8_BK4HW)


def _unit(bytes_: Tensor) -> Tensor:
    return bytes_.float() / 255


def _dense(index_V: Tensor, value: Tensor | float, batch_size: int) -> Tensor:
    """[B, 1, R, R, R] float32: values at flat indices, zeros elsewhere."""
    grid = torch.zeros(batch_size, 1, RESOLUTION, RESOLUTION, RESOLUTION, device=index_V.device)
    grid.view(-1)[index_V.long()] = value  # indices are distinct, so the order of writing does not matter
    return grid
