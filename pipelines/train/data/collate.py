"""Stacks samples into batches: one function for each kind of sample.

Shapes: B samples, U distinct scene images, V voxels of all samples, R = 64 grid edge.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pipelines.train.data.batches import (
    DrawsBatch,
    ImagesBatch,
    LatentBatch,
    RenderBatch,
    ShapeBatch,
    StructureBatch,
    TextureBatch,
)
from pipelines.train.data.samples import (
    Draws,
    InstanceImages,
    LatentSample,
    RenderSample,
    ShapeSample,
    StructureSample,
    TextureSample,
)
from pipelines.voxelise import RESOLUTION


def structure_batch(samples: Sequence[StructureSample]) -> StructureBatch:
    return StructureBatch(
        names=tuple(sample.name for sample in samples),
        estimators=tuple(sample.estimator for sample in samples),
        images=images_batch([sample.images for sample in samples]),
        voxels_target_V=flat_voxels([sample.target_V3 for sample in samples]),
        voxels_partial_V=flat_voxels([sample.partial_V3 for sample in samples]),
        confidence_V=torch.cat([sample.confidence_V for sample in samples]),
        depth_ratio_B=torch.tensor([sample.depth_ratio for sample in samples], dtype=torch.float32),
        T_world_cube_B44=torch.stack([sample.T_world_cube for sample in samples]),
        draws=draws_batch([sample.draws for sample in samples], dense=True),
    )


def shape_batch(samples: Sequence[ShapeSample]) -> ShapeBatch:
    return ShapeBatch(
        names=tuple(sample.name for sample in samples),
        voxels_target_V=flat_voxels([sample.target_V3 for sample in samples]),
        images_u8_B3SS=_stacked([sample.image_3SS for sample in samples]),
        draws=draws_batch([sample.draws for sample in samples], dense=True),
    )


def latent_batch(samples: Sequence[LatentSample]) -> LatentBatch:
    return LatentBatch(
        names=tuple(sample.name for sample in samples),
        coords_N4=coords_batch([sample.coords_N3 for sample in samples]),
        slat_N8=_joined([sample.slat_N8 for sample in samples]),
        feats_NC=_joined([sample.feats_NC for sample in samples]),
        draws=draws_batch([sample.draws for sample in samples], dense=False),
        images_u8_B3SS=_stacked([sample.image_3SS for sample in samples]),
    )


def texture_batch(samples: Sequence[TextureSample]) -> TextureBatch:
    first = _first_of_scene([sample.images for sample in samples])
    return TextureBatch(
        names=tuple(sample.name for sample in samples),
        coords_N4=coords_batch([sample.coords_N3 for sample in samples]),
        slat_N8=_joined([sample.slat_N8 for sample in samples]),
        feats_NC=_joined([sample.feats_NC for sample in samples]),
        draws=draws_batch([sample.draws for sample in samples], dense=False),
        images=images_batch([sample.images for sample in samples]),
        T_world_grid_B44=torch.stack([sample.T_world_grid for sample in samples]),
        T_world_cam_B44=torch.stack([sample.T_world_cam for sample in samples]),
        K_norm_B33=torch.stack([sample.K_norm for sample in samples]),
        depths_USS=torch.stack([samples[number].depth_SS for number in first.values()]),
    )


def render_batch(samples: Sequence[RenderSample]) -> RenderBatch:
    with_mesh = samples[0].vertices_P3 is not None
    return RenderBatch(
        names=tuple(sample.name for sample in samples),
        coords_N4=coords_batch([sample.coords_N3 for sample in samples]),
        slat_N8=_joined([sample.slat_N8 for sample in samples]),
        feats_NC=_joined([sample.feats_NC for sample in samples]),
        draws=draws_batch([sample.draws for sample in samples], dense=False),
        rgba_u8_BK4HW=torch.stack([sample.rgba_K4HW for sample in samples]),
        K_norm_BK33=torch.stack([sample.K_norm_K33 for sample in samples]),
        T_grid_cam_BK44=torch.stack([sample.T_grid_cam_K44 for sample in samples]),
        vertices=tuple(_present([sample.vertices_P3 for sample in samples])) if with_mesh else None,
        faces=tuple(each.long() for each in _present([sample.faces_F3 for sample in samples])) if with_mesh else None,
    )


def images_batch(images: Sequence[InstanceImages]) -> ImagesBatch:
    """Images of all samples, each distinct scene image once."""
    first = _first_of_scene(images)
    number = {scene_id: position for position, scene_id in enumerate(first)}
    return ImagesBatch(
        scenes_u8_U3SS=torch.stack([images[position].scene_3SS for position in first.values()]),
        scene_B=torch.tensor([number[each.scene_id] for each in images]),
        scene_masks_u8_BSS=torch.stack([each.scene_mask_SS for each in images]),
        instances_u8_B4SS=torch.stack([each.instance_4SS for each in images]),
        cleans_u8_B3SS=_stacked([each.clean_3SS for each in images]),
    )


def draws_batch(draws: Sequence[Draws], dense: bool) -> DrawsBatch:
    """dense: noise of equal shapes is stacked; otherwise its rows, one for each voxel, are concatenated."""
    noise = [each.noise for each in draws]
    return DrawsBatch(
        time_B=torch.tensor([each.time for each in draws], dtype=torch.float32),
        drop_B=torch.tensor([each.drop for each in draws], dtype=torch.float32),
        noise=torch.stack(noise) if dense else torch.cat(noise),
    )


def flat_voxels(voxels: Sequence[Tensor]) -> Tensor:
    """[V] int32: flat indices into [B, R, R, R] of the voxels [V, 3] of each sample."""
    stride_3 = torch.tensor([RESOLUTION * RESOLUTION, RESOLUTION, 1], dtype=torch.int32)
    return torch.cat(
        [(each.int() * stride_3).sum(1, dtype=torch.int32) + b * RESOLUTION**3 for b, each in enumerate(voxels)]
    )


def coords_batch(coords: Sequence[Tensor]) -> Tensor:
    """[N, 4] int32 (sample, x, y, z) of the voxels [N, 3] of each sample."""
    rows = [torch.nn.functional.pad(each.int(), (1, 0), value=b) for b, each in enumerate(coords)]
    return torch.cat(rows)


def _first_of_scene(images: Sequence[InstanceImages]) -> dict[int, int]:
    """By scene id the position of the first sample that shows the scene, in the order of samples."""
    first: dict[int, int] = {}
    for position, each in enumerate(images):
        first.setdefault(each.scene_id, position)
    return first


def _present(tensors: Sequence[Tensor | None]) -> list[Tensor]:
    """All tensors. Raises ValueError if some are missing: a source gives a part to every sample or to none."""
    found = [each for each in tensors if each is not None]
    if len(found) != len(tensors):
        raise ValueError("some samples of a batch lack what others have; one source must give all or none")
    return found


def _stacked(tensors: Sequence[Tensor | None]) -> Tensor | None:
    return None if tensors[0] is None else torch.stack(_present(tensors))


def _joined(tensors: Sequence[Tensor | None]) -> Tensor | None:
    return None if tensors[0] is None else torch.cat(_present(tensors))
