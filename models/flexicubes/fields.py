"""From network outputs per cube to values on shared corners, for the cubes around the surface only.

Shapes: Q active cubes (those with network outputs), V their distinct corners, S cubes that the surface passes
(a few of them not active: they share an inside corner with one that is), R grid edge.
Source: TRELLIS' use of FlexiCubes; channel layout in `split_channels`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from models.flexicubes.tables import CORNERS

OUTSIDE_SDF = 1.0
CHANNELS = {"sdf": 8, "deform": 8 * 3, "weights": 21, "color": 8 * 6}


def cube_channels(use_color: bool) -> int:
    """Network outputs per cube: 53, or 101 with colours and normals."""
    return sum(CHANNELS.values()) - (0 if use_color else CHANNELS["color"])


@dataclass(frozen=True)
class CornerField:
    """Values on the distinct corners of the active cubes, sorted by (x, y, z).

    position_V3 int64 grid positions, sdf_V, deform_V3 (raw), color_V6 (raw) or None,
    disagreement: mean squared difference between a cube's corner values and the shared ones.
    """

    key_V: Tensor
    position_V3: Tensor
    sdf_V: Tensor
    deform_V3: Tensor
    color_V6: Tensor | None
    disagreement: Tensor


@dataclass(frozen=True)
class SurfaceCubes:
    """The cubes that the surface passes, sorted by (x, y, z).

    cube_S3 int64 grid positions; corner_S8 rows of the corner field, V for corners outside of it;
    active_S rows of the network outputs, Q for cubes without.
    """

    cube_S3: Tensor
    corner_S8: Tensor
    active_S: Tensor


def share_corners(feats_QF: Tensor, cubes_Q3: Tensor, resolution: int, use_color: bool) -> CornerField:
    """Average the values that cubes propose for a common corner; the SDF is biased by -1/R first."""
    offset_83 = torch.tensor(CORNERS, device=feats_QF.device)
    key_Q8 = _key(cubes_Q3[:, None] + offset_83, resolution + 1)
    key_V, row_Q8, count_V = key_Q8.unique(return_inverse=True, return_counts=True)
    sdf_Q8 = feats_QF[:, :8] - 1.0 / resolution
    deform_Q83 = feats_QF[:, 8:32].unflatten(1, (8, 3))
    color_Q86 = feats_QF[:, 53:].unflatten(1, (8, 6)) if use_color else None
    parts = [x for x in (sdf_Q8[..., None], deform_Q83, color_Q86) if x is not None]
    shared = [_corner_mean(part, row_Q8, count_V) for part in parts]
    values = sum(part.shape[1] * part.shape[2] for part in parts) * max(len(feats_QF), 1)
    difference = sum(_squared_difference(part, mean, row_Q8) for part, mean in zip(parts, shared, strict=True))
    return CornerField(
        key_V=key_V,
        position_V3=_position(key_V, resolution + 1),
        sdf_V=shared[0][:, 0],
        deform_V3=shared[1],
        color_V6=shared[2] if use_color else None,
        disagreement=difference / values,
    )


def _corner_mean(value_Q8A: Tensor, row_Q8: Tensor, count_V: Tensor) -> Tensor:
    """Corner by corner, so that no copy of all the values is made."""
    total_VA = value_Q8A.new_zeros(len(count_V), value_Q8A.shape[2])
    for corner in range(8):
        total_VA = total_VA.index_add_(0, row_Q8[:, corner], value_Q8A[:, corner])
    return total_VA / count_V[:, None]


def _squared_difference(value_Q8A: Tensor, mean_VA: Tensor, row_Q8: Tensor) -> Tensor:
    total = value_Q8A.new_zeros(())
    for corner in range(8):
        total = total + (value_Q8A[:, corner] - mean_VA[row_Q8[:, corner]]).square().sum()
    return total


def surface_cubes(field: CornerField, cubes_Q3: Tensor, resolution: int) -> SurfaceCubes:
    """Every cube of the grid with corners on both sides of the surface, found around the inside corners."""
    offset_83 = torch.tensor(CORNERS, device=cubes_Q3.device)
    around_I83 = field.position_V3[field.sdf_V < 0][:, None] - offset_83
    in_grid = ((around_I83 >= 0) & (around_I83 < resolution)).all(-1)
    cube_key = _key(around_I83[in_grid], resolution).unique()
    cube_S3 = _position(cube_key, resolution)
    corner_S8 = lookup(_key(cube_S3[:, None] + offset_83, resolution + 1), field.key_V)
    mixed = (padded(field.sdf_V, OUTSIDE_SDF)[corner_S8] >= 0).any(1)
    active_key, order = _key(cubes_Q3, resolution).sort()
    active_S = padded(order, len(order))[lookup(cube_key[mixed], active_key)]
    return SurfaceCubes(cube_S3[mixed], corner_S8[mixed], active_S)


def padded(values: Tensor, fill: float) -> Tensor:
    """One more row, for whatever is not in the table."""
    return torch.cat([values, values.new_full((1, *values.shape[1:]), fill)])


def lookup(wanted: Tensor, sorted_keys: Tensor) -> Tensor:
    """Row of each wanted key among sorted ones; their number where it is missing."""
    if len(sorted_keys) == 0:
        return torch.zeros_like(wanted)
    row = torch.searchsorted(sorted_keys, wanted).clamp_(max=len(sorted_keys) - 1)
    return torch.where(sorted_keys[row] == wanted, row, len(sorted_keys))


def _key(position: Tensor, edge: int) -> Tensor:
    x, y, z = position.long().unbind(-1)
    return (x * edge + y) * edge + z


def _position(key: Tensor, edge: int) -> Tensor:
    return torch.stack([key // (edge * edge), key // edge % edge, key % edge], dim=-1)
