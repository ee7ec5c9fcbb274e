"""FlexiCubes surface extraction on the active cubes.

Shapes: Q active cubes, S cubes that the surface passes, V corners, E pairs (surface cube, crossed edge of it),
D dual vertices, P quads, A vertex attributes (3 colour + 3 normal).
Source: FlexiCubes (Shen et al. 2023) as TRELLIS configures it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from models.flexicubes.fields import (
    MAX_RESOLUTION,
    OUTSIDE_SDF,
    CornerField,
    SurfaceCubes,
    active_rows,
    corner_disagreement,
    cube_channels,
    padded,
    positions,
    share_corners,
    surface_cubes,
)
from models.flexicubes.tables import CORNERS, EDGES, tables

Ends = tuple[Tensor, Tensor]

__all__ = ["Mesh", "MeshTraining", "cube_channels", "extract_mesh"]


@dataclass(frozen=True)
class MeshTraining:
    """What the mesh decoder's losses need besides the mesh.

    reg_loss: corner disagreement + 0.5 L_dev + 0.2 |alpha, beta|.
    corner_V3, sdf_V: deformed positions of the grid corners around the surface, and their SDF.
    """

    reg_loss: Tensor
    corner_V3: Tensor
    sdf_V: Tensor


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh in the cube [-0.5, 0.5]^3; faces wind so that normals point out of the object.

    vertices_V3 float, faces_F3 int64, attributes_VA in [0, 1] (colour, normal) or None.
    """

    vertices_V3: Tensor
    faces_F3: Tensor
    attributes_VA: Tensor | None = None
    training: MeshTraining | None = None

    @property
    def face_normals_F3(self) -> Tensor:
        a, b, c = self.vertices_V3[self.faces_F3].unbind(1)
        return F.normalize(torch.linalg.cross(b - a, c - a), dim=1)


@dataclass(frozen=True)
class CrossedEdges:
    """Every crossed edge of every surface cube.

    cube_E row of the surface cube, edge_E number of the edge, dual_E dual vertex that it belongs to.
    """

    cube_E: Tensor
    edge_E: Tensor
    dual_E: Tensor
    num_duals: int


def extract_mesh(feats_QF: Tensor, cubes_Q3: Tensor, resolution: int, use_color: bool, training: bool = False) -> Mesh:
    """The surface of one object.

    feats_QF: per active cube [sdf 8 | deform 8x3 | beta 12, alpha 8, gamma 1 | colour and normal 8x6 if use_color].
    cubes_Q3: integer positions in a grid of edge `resolution`. Everywhere else the SDF is +1: outside.
    training: quads get a centre vertex (four triangles, smooth in gamma), and `mesh.training` is filled.

    Only corners and cubes next to active ones are ever built.
    """
    feats_QF = feats_QF.float()
    if feats_QF.shape[1] != cube_channels(use_color):
        raise ValueError(f"expected {cube_channels(use_color)} values per cube, got {feats_QF.shape[1]}")
    if resolution > MAX_RESOLUTION:
        raise ValueError(f"grids of more than {MAX_RESOLUTION}^3 cubes are not supported, got {resolution}")
    field = share_corners(feats_QF, cubes_Q3, resolution, use_color)
    with torch.no_grad():
        surface = surface_cubes(field, cubes_Q3, resolution)
        crossed = crossed_edges(field, surface)
    weights_S21 = active_rows(feats_QF[:, 32:53], surface)
    edges = edge_ends(field, surface, crossed, weights_S21[:, 12:20], resolution)
    beta_S12 = weights_S21[:, :12].tanh() * 0.99 + 1
    vertices, attributes = dual_vertices(field, edges, beta_S12[crossed.cube_E, crossed.edge_E][:, None], crossed)
    gamma_S = weights_S21[:, 20].sigmoid() * 0.99 + 0.005
    quads_P4, gamma_P4 = quads(field, surface, crossed, gamma_S)
    if not training:
        return Mesh(vertices, split_quads(quads_P4, gamma_P4), attributes)
    disagreement = corner_disagreement(field, feats_QF, resolution, use_color)
    deviation = edge_deviation(edges, vertices, crossed)
    regulariser = disagreement + 0.5 * _mean(deviation) + 0.2 * _mean(feats_QF[:, 32:52].abs())
    corner_V3 = deformed(positions(field.key_V, resolution + 1), field.deform_V3, resolution)
    faces = fan_quads(quads_P4, first_centre=len(vertices))
    vertices = torch.cat([vertices, quad_centres(vertices, quads_P4, gamma_P4)])
    if attributes is not None:
        attributes = torch.cat([attributes, quad_centres(attributes, quads_P4, gamma_P4)])
    return Mesh(vertices, faces, attributes, MeshTraining(regulariser, corner_V3, field.sdf_V))


def deformed(position_V3: Tensor, deform_V3: Tensor, resolution: int) -> Tensor:
    """Grid positions in [-0.5, 0.5]^3, each moved by less than half a cube."""
    return position_V3 / resolution - 0.5 + (1 - 1e-8) / (2 * resolution) * deform_V3.tanh()


def crossed_edges(field: CornerField, surface: SurfaceCubes) -> CrossedEdges:
    """Look up each surface cube's case and list its crossed edges, cube by cube."""
    table = tables(field.sdf_V.device)
    case_S = resolve_ambiguity(surface, case_numbers(field, surface), table.step_256x3)
    group_S12 = table.group_256x12[case_S]
    first_dual_S = table.groups_256[case_S].cumsum(0) - table.groups_256[case_S]
    cube_E, edge_E = (group_S12 >= 0).nonzero(as_tuple=True)
    dual_E = first_dual_S[cube_E] + group_S12[cube_E, edge_E]
    return CrossedEdges(cube_E, edge_E, dual_E, int(table.groups_256[case_S].sum()))


def case_numbers(field: CornerField, surface: SurfaceCubes) -> Tensor:
    """[S] bit set of the inside corners."""
    inside_S8 = padded(field.sdf_V, OUTSIDE_SDF)[surface.corner_S8] < 0
    return (inside_S8 << torch.arange(8, device=inside_S8.device)).sum(1)


def resolve_ambiguity(surface: SurfaceCubes, case_S: Tensor, step_256x3: Tensor) -> Tensor:
    """Invert a candidate case where the cube across its ambiguous face is a candidate too.

    Both then agree on how the surface passes their common face; otherwise it would touch itself there.
    """
    step_S3 = step_256x3[case_S]
    candidate = step_S3.any(1).nonzero().squeeze(1)
    if len(candidate) == 0:
        return case_S
    own, across = surface.cube_S3[candidate], (surface.cube_S3 + step_S3)[candidate]
    edge = int(surface.cube_S3.max()) + 3
    weight = torch.tensor([edge * edge, edge, 1], device=own.device)
    agree = torch.isin(((across + 1) * weight).sum(1), ((own + 1) * weight).sum(1))
    resolved = case_S.clone()
    resolved[candidate[agree]] = 255 - case_S[candidate[agree]]
    return resolved


@dataclass(frozen=True)
class EdgeEnds:
    """Both ends of every crossed edge: rows of the corner field, positions, SDF, and SDF times alpha ([E, 1])."""

    corner: Ends
    position: Ends
    sdf: Ends
    weighted_sdf: Ends


def edge_ends(
    field: CornerField, surface: SurfaceCubes, crossed: CrossedEdges, raw_alpha_S8: Tensor, resolution: int
) -> EdgeEnds:
    ends_E2 = torch.tensor(EDGES, device=crossed.edge_E.device)[crossed.edge_E]
    first, second = (crossed.cube_E * 8 + end for end in ends_E2.unbind(1))

    def at_ends(value_S8A: Tensor) -> Ends:
        rows = value_S8A.flatten(0, 1)
        return rows.index_select(0, first), rows.index_select(0, second)

    corner_83 = torch.tensor(CORNERS, device=ends_E2.device, dtype=torch.float32)
    at_S83 = surface.cube_S3.float()[:, None] + corner_83
    deform_S83 = padded(field.deform_V3, 0.0)[surface.corner_S8]
    sdf_S81 = padded(field.sdf_V, OUTSIDE_SDF)[surface.corner_S8][..., None]
    alpha_S81 = (raw_alpha_S8.tanh() * 0.99 + 1)[..., None]
    return EdgeEnds(
        corner=at_ends(surface.corner_S8),
        position=at_ends(deformed(at_S83, deform_S83, resolution)),
        sdf=at_ends(sdf_S81),
        weighted_sdf=at_ends(sdf_S81 * alpha_S81),
    )


def dual_vertices(
    field: CornerField, edges: EdgeEnds, beta_E1: Tensor, crossed: CrossedEdges
) -> tuple[Tensor, Tensor | None]:
    """Positions [D, 3] and attributes [D, 6] (None without colours).

    A dual vertex is the beta-weighted mean of the zero crossings of alpha * sdf on its edges.
    """
    vertex_D3 = group_mean(zero_crossing(edges.position, edges.weighted_sdf), beta_E1, crossed)
    if field.color_V6 is None:
        return vertex_D3, None
    means = []
    for color_V3 in padded(field.color_V6, 0.0).sigmoid().split(3, dim=1):  # in two parts: the largest arrays of all
        color_ends = color_V3[edges.corner[0]], color_V3[edges.corner[1]]
        means.append(group_mean(zero_crossing(color_ends, edges.weighted_sdf), beta_E1, crossed))
    return vertex_D3, torch.cat(means, dim=1)


def edge_deviation(edges: EdgeEnds, vertex_D3: Tensor, crossed: CrossedEdges) -> Tensor:
    """L_dev [E]: how unequally far a dual vertex is from the (unweighted) crossings of its edges."""
    offset_E3 = zero_crossing(edges.position, edges.sdf) - vertex_D3[crossed.dual_E]
    distance_E1 = offset_E3.norm(dim=1, keepdim=True)
    mean_D1 = group_mean(distance_E1, torch.ones_like(distance_E1), crossed)
    return (distance_E1 - mean_D1[crossed.dual_E]).abs().squeeze(1)


def group_mean(value_EA: Tensor, weight_E1: Tensor, crossed: CrossedEdges) -> Tensor:
    """[D, A] weighted mean over the edges of each dual vertex."""
    total_DA = value_EA.new_zeros(crossed.num_duals, value_EA.shape[1])
    weight_D1 = value_EA.new_zeros(crossed.num_duals, 1)
    return total_DA.index_add(0, crossed.dual_E, value_EA * weight_E1) / weight_D1.index_add(
        0, crossed.dual_E, weight_E1
    )


def zero_crossing(value_ends: Ends, sdf_ends: Ends) -> Tensor:
    """Values [E, A] at the two ends of edges, interpolated to where the SDF [E, 1] is zero."""
    (a, b), (s, t) = value_ends, sdf_ends
    return (a * t - b * s) / (t - s)


def quads(field: CornerField, surface: SurfaceCubes, crossed: CrossedEdges, gamma_S: Tensor) -> tuple[Tensor, Tensor]:
    """One quad per crossed grid edge with four cubes around it: dual vertices [P, 4] in ring order, and their gamma."""
    with torch.no_grad():
        ends_E2 = torch.tensor(EDGES, device=crossed.edge_E.device)[crossed.edge_E]
        low_E, high_E = ends_E2.amin(1), ends_E2.amax(1)
        offset_E3 = torch.stack([low_E & 1, low_E >> 1 & 1, low_E >> 2], dim=1)
        axis_E = (high_E - low_E) >> 1  # corner numbers of an edge differ by 1, 2 or 4
        at_E3 = surface.cube_S3[crossed.cube_E] + offset_E3
        side = int(at_E3.max()) + 1 if len(at_E3) else 1
        key_E = ((at_E3[:, 0] * side + at_E3[:, 1]) * side + at_E3[:, 2]) * 3 + axis_E
        sorted_E, order_E = key_E.sort(stable=True)  # stable: the cubes around an edge stay in grid order
        _, count = sorted_E.unique_consecutive(return_counts=True)
        start = (count.cumsum(0) - count)[count == 4]
        entry_P4 = order_E[start[:, None] + torch.arange(4, device=order_E.device)]
        first_corner = surface.corner_S8[crossed.cube_E[entry_P4[:, 0]], ends_E2[entry_P4[:, 0], 0]]
        outwards = padded(field.sdf_V, OUTSIDE_SDF)[first_corner] > 0
        ring = torch.tensor([[2, 3, 1, 0], [0, 1, 3, 2]], device=order_E.device)[outwards.long()]
        entry_P4 = entry_P4.gather(1, ring)
    return crossed.dual_E[entry_P4], gamma_S[crossed.cube_E[entry_P4]]


def split_quads(quads_P4: Tensor, gamma_P4: Tensor) -> Tensor:
    """Two triangles per quad, [2 P, 3], along the diagonal with the larger product of gammas."""
    along_02 = gamma_P4[:, 0] * gamma_P4[:, 2] > gamma_P4[:, 1] * gamma_P4[:, 3]
    pattern = torch.tensor([[0, 1, 3, 3, 1, 2], [0, 1, 2, 0, 2, 3]], device=quads_P4.device)[along_02.long()]
    return quads_P4.gather(1, pattern).reshape(-1, 3)


def fan_quads(quads_P4: Tensor, first_centre: int) -> Tensor:
    """Four triangles per quad, [4 P, 3], around its centre vertex."""
    centre_P4 = (first_centre + torch.arange(len(quads_P4), device=quads_P4.device))[:, None].expand(-1, 4)
    return torch.stack([quads_P4, quads_P4.roll(-1, dims=1), centre_P4], dim=-1).reshape(-1, 3)


def quad_centres(value_DA: Tensor, quads_P4: Tensor, gamma_P4: Tensor) -> Tensor:
    """[P, A] gamma-weighted mean of the two diagonals' midpoints."""
    first = (gamma_P4[:, 0] * gamma_P4[:, 2])[:, None]
    second = (gamma_P4[:, 1] * gamma_P4[:, 3])[:, None]
    a, b, c, d = value_DA[quads_P4].unbind(1)
    return ((a + c) / 2 * first + (b + d) / 2 * second) / (first + second + 1e-8)


def _mean(values: Tensor) -> Tensor:
    """The mean, or zero of nothing."""
    return values.sum() / max(values.numel(), 1)
