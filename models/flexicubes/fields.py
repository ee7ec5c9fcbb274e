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
MAX_RESOLUTION = 1024  # keys of corners fit into 32 bits
CHANNELS = {"sdf": 8, "deform": 8 * 3, "weights": 21, "color": 8 * 6}


def cube_channels(use_color: bool) -> int:
    """Network outputs per cube: 53, or 101 with colours and normals."""
    return sum(CHANNELS.values()) - (0 if use_color else CHANNELS["color"])


@dataclass(frozen=True)
class CornerField:
    """Values on the distinct corners of the active cubes, sorted by (x, y, z).

    key_V int32 linear positions in the grid of corners, sdf_V, deform_V3 (raw), color_V6 (raw) or None,
    row_Q8: int32 row of each corner of each active cube.
    """

    key_V: Tensor
    sdf_V: Tensor
    deform_V3: Tensor
    color_V6: Tensor | None
    row_Q8: Tensor


@dataclass(frozen=True)
class SurfaceCubes:
    """The cubes that the surface passes, sorted by (x, y, z).

    cube_S3 int64 grid positions; corner_S8 rows of the corner field, V for corners outside of it;
    active_S rows of the network outputs, Q for cubes without.
    """

    cube_S3: Tensor
    corner_S8: Tensor
    active_S: Tensor


def corner_values(feats_QF: Tensor, resolution: int, use_color: bool) -> list[Tensor]:
    """What cubes propose for their corners: SDF [Q, 8, 1], with its bias; deformation [Q, 8, 3]; colour [Q, 8, 6]."""
    values = [(feats_QF[:, :8] - 1.0 / resolution)[..., None], feats_QF[:, 8:32].unflatten(1, (8, 3))]
    return [*values, feats_QF[:, 53:].unflatten(1, (8, 6))] if use_color else values


def share_corners(feats_QF: Tensor, cubes_Q3: Tensor, resolution: int, use_color: bool) -> CornerField:
    """Average the values that cubes propose for a common corner."""
    key_V, row_Q8 = distinct(corner_keys(cubes_Q3, resolution))
    count_V1 = torch.bincount(row_Q8.flatten(), minlength=len(key_V))[:, None]
    proposed = corner_values(feats_QF, resolution, use_color)
    shared = [corner_sum(value, row_Q8, len(key_V)) / count_V1 for value in proposed]
    return CornerField(key_V, shared[0][:, 0], shared[1], shared[2] if use_color else None, row_Q8)


def corner_disagreement(field: CornerField, feats_QF: Tensor, resolution: int, use_color: bool) -> Tensor:
    """Mean squared difference between the values that cubes propose for a corner and the shared ones."""
    shared = [field.sdf_V[:, None], field.deform_V3, *([] if field.color_V6 is None else [field.color_V6])]
    total, count = feats_QF.new_zeros(()), 0
    for value_Q8A, mean_VA in zip(corner_values(feats_QF, resolution, use_color), shared, strict=False):
        total = total + (value_Q8A - mean_VA[field.row_Q8]).square().sum()
        count += value_Q8A.numel()
    return total / max(count, 1)


def corner_sum(value_Q8A: Tensor, row_Q8: Tensor, rows: int) -> Tensor:
    """Corner by corner, so that no copy of all the values is made."""
    total_VA = value_Q8A.new_zeros(rows, value_Q8A.shape[2])
    for corner in range(8):
        total_VA = total_VA.index_add_(0, row_Q8[:, corner], value_Q8A[:, corner])
    return total_VA


def surface_cubes(field: CornerField, cubes_Q3: Tensor, resolution: int) -> SurfaceCubes:
    """Every cube of the grid with corners on both sides of the surface, found around the inside corners."""
    inside_I3 = positions(field.key_V[field.sdf_V < 0], resolution + 1)
    around = [_keys_in_grid(inside_I3 - inside_I3.new_tensor(corner), resolution) for corner in CORNERS]
    cube_S3 = positions(torch.cat(around).unique(), resolution)
    corner_S8 = lookup(corner_keys(cube_S3, resolution), field.key_V)
    mixed = (padded(field.sdf_V, OUTSIDE_SDF)[corner_S8] >= 0).any(1)
    active_key, order = linear_key(cubes_Q3, resolution).sort()
    cube_S3, corner_S8 = cube_S3[mixed], corner_S8[mixed]
    found_S = lookup(linear_key(cube_S3, resolution), active_key)
    return SurfaceCubes(cube_S3, corner_S8, padded(order, len(order))[found_S])


def _keys_in_grid(cubes_N3: Tensor, resolution: int) -> Tensor:
    return linear_key(cubes_N3[((cubes_N3 >= 0) & (cubes_N3 < resolution)).all(1)], resolution)


def active_rows(values_QF: Tensor, surface: SurfaceCubes) -> Tensor:
    """[S, F] network outputs of the surface cubes, zeros for those that have none."""
    known_S1 = (surface.active_S < len(values_QF))[:, None]
    return values_QF[surface.active_S.clamp(max=max(len(values_QF) - 1, 0))] * known_S1


def padded(values: Tensor, fill: float) -> Tensor:
    """One more row, for whatever is not in the table."""
    return torch.cat([values, values.new_full((1, *values.shape[1:]), fill)])


def lookup(wanted: Tensor, sorted_keys: Tensor) -> Tensor:
    """int32 row of each wanted key among sorted ones; their number where it is missing."""
    if len(sorted_keys) == 0:
        return torch.zeros_like(wanted)
    row = torch.searchsorted(sorted_keys, wanted, out_int32=True).clamp_(max=len(sorted_keys) - 1)
    return row.masked_fill_(sorted_keys[row] != wanted, len(sorted_keys))


def distinct(keys: Tensor) -> tuple[Tensor, Tensor]:
    """Sorted distinct keys, and the int32 row of each given key among them.

    `Tensor.unique` does the same, with 64-bit rows and several times the memory.
    """
    ordered, order = keys.flatten().sort()
    first = torch.ones_like(ordered, dtype=torch.bool)
    first[1:] = ordered[1:] != ordered[:-1]
    rows = torch.empty_like(ordered)
    rows[order] = first.cumsum(0, dtype=torch.int32) - 1
    return ordered[first], rows.view(keys.shape)


def linear_key(position_N3: Tensor, edge: int) -> Tensor:
    """int32 keys in the order of (x, y, z)."""
    x, y, z = position_N3.int().unbind(-1)
    return (x * edge + y) * edge + z


def corner_keys(cubes_N3: Tensor, resolution: int) -> Tensor:
    """[N, 8] keys of the corners of cubes."""
    edge = resolution + 1
    step_8 = linear_key(torch.tensor(CORNERS, device=cubes_N3.device), edge)
    return linear_key(cubes_N3, edge)[:, None] + step_8


def positions(key_N: Tensor, edge: int) -> Tensor:
    """[N, 3] int64 grid positions; the inverse of `linear_key`."""
    key_N = key_N.long()
    return torch.stack([key_N // (edge * edge), key_N // edge % edge, key_N % edge], dim=-1)
