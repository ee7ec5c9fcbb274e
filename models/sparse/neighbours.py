"""Which occupied voxels are neighbours, for 3x3x3 submanifold convolution.

Shapes: N voxels, P pairs of neighbours at one offset.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from models.sparse.voxels import VoxelSet, grid_extent, linear_keys

CENTRE = 13  # position of offset (0, 0, 0) among the 27 offsets, z fastest


@dataclass(frozen=True)
class NeighbourMap:
    """Pairs of rows per kernel position.

    pairs: 26 entries (kernel position k, output rows [P], input rows [P]), so that
        out[output] += in[input] @ W[k]. Within an entry no row occurs twice. The centre is not listed.
    """

    pairs: tuple[tuple[int, Tensor, Tensor], ...]


def neighbour_map(voxels: VoxelSet) -> NeighbourMap:
    """Found by binary search among sorted keys; computed once per voxel set.

    Only half of the offsets are searched: if j is i's neighbour at offset d, then i is j's at -d.
    """
    if "neighbours" not in voxels.backend_cache:
        voxels.backend_cache["neighbours"] = _search(voxels)
    return voxels.backend_cache["neighbours"]


def _search(voxels: VoxelSet) -> NeighbourMap:
    extent_3 = grid_extent(voxels.coords_N4)
    key_N = linear_keys(voxels.coords_N4, extent_3, margin=1)
    sorted_N, order_N = key_N.sort()
    _, size_y, size_z = (extent_3 + 2).tolist()
    pairs = []
    for k, (dx, dy, dz) in enumerate(product((-1, 0, 1), repeat=3)):
        if k == CENTRE:
            break
        wanted_N = sorted_N + ((dx * size_y + dy) * size_z + dz)
        place_N = torch.searchsorted(sorted_N, wanted_N).clamp_(max=max(len(voxels) - 1, 0))
        found = (sorted_N[place_N] == wanted_N).nonzero().squeeze(1)
        rows, neighbours = order_N[found], order_N[place_N[found]]
        pairs += [(k, rows, neighbours), (2 * CENTRE - k, neighbours, rows)]
    return NeighbourMap(tuple(pairs))
