"""The obvious ways to compute what models/ computes: loops over samples and windows, padding, dense grids."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from models.flexicubes.extraction import Mesh, crossed_edges, dual_vertices, edge_ends, quads, split_quads
from models.flexicubes.fields import CornerField, SurfaceCubes, corner_keys, corner_sum, corner_values, positions
from models.sparse.segments import Segments, dense_attention
from models.sparse.voxels import VoxelSet


def explicit_attention(q_BLHD: Tensor, k_BMHD: Tensor, v_BMHD: Tensor, mask: Tensor | None = None) -> Tensor:
    """Softmax attention with its score matrix written out."""
    q, k, v = (x.transpose(1, 2) for x in (q_BLHD, k_BMHD, v_BMHD))
    scores = q @ k.mT * q.shape[-1] ** -0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return (scores.softmax(-1) @ v).transpose(1, 2)


@dataclass(frozen=True)
class LoopedAttention:
    """One call of PyTorch's kernel per segment."""

    segments: Segments

    def self_attention(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        order = self.segments.order_N
        if order is not None:
            q, k, v = (x.index_select(0, order) for x in (q, k, v))
        parts = zip(*(x.split(self.segments.lengths) for x in (q, k, v)), strict=True)
        out = torch.cat([dense_attention(q[None], k[None], v[None])[0] for q, k, v in parts])
        return out if order is None else out.index_select(0, order.argsort())

    def cross_attention(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        parts = zip(q.split(self.segments.lengths), k, v, strict=True)
        return torch.cat([dense_attention(q[None], k[None], v[None])[0] for q, k, v in parts])


@dataclass(frozen=True)
class PaddedAttention:
    """One call of PyTorch's kernel with every segment padded to the longest."""

    segments: Segments

    def slots(self) -> tuple[Tensor, Tensor]:
        lengths = torch.tensor(self.segments.lengths)
        column = torch.arange(int(lengths.max()))
        valid = column < lengths[:, None]
        rows = torch.where(valid, (lengths.cumsum(0) - lengths)[:, None] + column, 0)
        return (rows if self.segments.order_N is None else self.segments.order_N[rows]), valid

    def self_attention(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        rows, valid = self.slots()
        padded = [x.index_select(0, rows.flatten()).unflatten(0, rows.shape) for x in (q, k, v)]
        out = dense_attention(*padded, valid[:, None, None])
        return torch.zeros_like(q).index_copy(0, rows[valid], out[valid])

    def cross_attention(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        rows, valid = self.slots()
        padded = q.index_select(0, rows.flatten()).unflatten(0, rows.shape)
        return torch.zeros_like(q).index_copy(0, rows[valid], dense_attention(padded, k, v)[valid])


def dense_grid_conv(feats_NI: Tensor, weight: Tensor, bias_O: Tensor, voxels: VoxelSet, edge: int) -> Tensor:
    """Zero-padded conv3d over the whole grid."""
    b, x, y, z = voxels.coords_N4.long().unbind(1)
    grid = feats_NI.new_zeros(voxels.batch_size, edge, edge, edge, feats_NI.shape[1])
    grid = grid.index_put((b, x, y, z), feats_NI).movedim(-1, 1)
    return F.conv3d(grid, weight.permute(0, 4, 1, 2, 3), bias_O, padding=1).movedim(1, -1)[b, x, y, z]


def gathered_conv(feats_NI: Tensor, weight: Tensor, bias_O: Tensor, neighbours_N27: Tensor) -> Tensor:
    """All 27 neighbours of every voxel side by side (zeros where there is none), and one large product."""
    padded = torch.cat([feats_NI, feats_NI.new_zeros(1, feats_NI.shape[1])])
    columns = padded.index_select(0, neighbours_N27.flatten()).view(len(feats_NI), -1)
    return torch.addmm(bias_O, columns, weight.flatten(1).T)


def neighbour_table(voxels: VoxelSet, edge: int) -> Tensor:
    """[N, 27] rows, N where there is no voxel."""
    N = len(voxels)
    table = torch.full((voxels.batch_size, edge + 2, edge + 2, edge + 2), N)
    b, x, y, z = voxels.coords_N4.long().unbind(1)
    table[b, x + 1, y + 1, z + 1] = torch.arange(N)
    steps = torch.cartesian_prod(*(torch.arange(3),) * 3)
    return torch.stack([table[b, x + i, y + j, z + k] for i, j, k in steps.tolist()], dim=1)


def dense_grid_mesh(feats_QF: Tensor, cubes_Q3: Tensor, resolution: int) -> Mesh:
    """FlexiCubes with arrays over the whole grid: all corners, all cubes, all weights."""
    corners = (resolution + 1) ** 3
    row_Q8 = corner_keys(cubes_Q3, resolution).long()
    count = torch.bincount(row_Q8.flatten(), minlength=corners)[:, None]
    shared = [
        corner_sum(value, row_Q8, corners) / count.clamp(min=1) for value in corner_values(feats_QF, resolution, True)
    ]
    sdf = torch.where(count[:, 0] > 0, shared[0][:, 0], 1.0)
    field = CornerField(torch.arange(corners), sdf, shared[1], shared[2], row_Q8)
    all_cubes = positions(torch.arange(resolution**3), resolution)
    corner_index = corner_keys(all_cubes, resolution).long()
    weights = feats_QF.new_zeros(resolution**3, 21)
    x, y, z = cubes_Q3.long().unbind(1)
    weights[(x * resolution + y) * resolution + z] = feats_QF[:, 32:53]
    inside = sdf[corner_index] < 0
    mixed = inside.any(1) & ~inside.all(1)
    surface = SurfaceCubes(all_cubes[mixed], corner_index[mixed], mixed.nonzero()[:, 0])
    crossed = crossed_edges(field, surface)
    weights_S21 = weights[mixed]
    edges = edge_ends(field, surface, crossed, weights_S21[:, 12:20], resolution)
    beta_S12 = weights_S21[:, :12].tanh() * 0.99 + 1
    vertices, attributes = dual_vertices(field, edges, beta_S12[crossed.cube_E, crossed.edge_E][:, None], crossed)
    quads_P4, gamma_P4 = quads(field, surface, crossed, weights_S21[:, 20].sigmoid() * 0.99 + 0.005)
    return Mesh(vertices, split_quads(quads_P4, gamma_P4), attributes)
