"""Changing the resolution of a sparse tensor by two.

Shapes: N fine voxels, M coarse voxels, C channels.
"""

from __future__ import annotations

from models.sparse.voxels import SparseTensor, VoxelSet


def downsample(x: SparseTensor) -> SparseTensor:
    """Pool children into their parents: sum / (children + 1).

    Not the mean: the released networks were trained with an average that also counts the zero it starts from, so
    their weights rely on it.
    """
    level = x.voxels.coarser
    total_MC = x.feats.new_zeros(len(level.voxels), x.feats.shape[1]).index_add(0, level.parent_N, x.feats)
    return SparseTensor(total_MC / (level.children_M[:, None] + 1).to(x.feats.dtype), level.voxels)


def upsample(x: SparseTensor, fine: VoxelSet) -> SparseTensor:
    """Copy every parent's feature to its children, the voxels of `fine` (in their order)."""
    level = fine.coarser
    if level.voxels is not x.voxels:
        raise ValueError("upsample undoes a downsampling: x must live on `fine.coarser.voxels`")
    return SparseTensor(x.feats.index_select(0, level.parent_N), fine)


def subdivide(x: SparseTensor) -> SparseTensor:
    """Copy every voxel's feature to all of its eight children."""
    return SparseTensor(x.feats.repeat_interleave(8, dim=0), x.voxels.finer)
