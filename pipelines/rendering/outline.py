"""Antialiasing of the outline of a mesh: coverage with gradients to the vertices.

A rasterised mask is 0 or 1 and its derivative is zero. Here every covered pixel that has an uncovered neighbour gets
how far the mesh reaches towards the centre of that neighbour, from the edges that cross the line between both centres.
Less than half-way reduces the coverage of the covered pixel; more adds to that of the uncovered one.

Two things differ from the usual antialiasing of this kind, because the faces of an extracted surface are often smaller
than a pixel and have any direction. First, the edges are those of all faces near the outline, not only those of the
face of the covered pixel. Second, a piece of the outline is weighted by its own direction, not by that of the edge:
with the outward normal n of the smoothed mask, a neighbour along x has the weight n_x^2 and one along y n_y^2, which
sum to one, and the outline moves by the motion of the crossing point along n. The derivative of the mask's area is
then the integral of that motion.

Shapes: V vertices, F faces, E edges (one per face and side), I crossings of an edge and a row of pixel centres,
O pairs of pixels on the outline, H W image. A pixel's number is row * W + column.
Source: the idea of analytic edge blending is that of Laine et al. 2020, section 3.5.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pipelines.rendering.pairs import Boxes, order_preserving


@dataclass(frozen=True)
class Outline:
    """Pairs of neighbouring pixels on both sides of the outline.

    inner_O, outer_O: numbers of the covered and the uncovered pixel.
    gain_O: in [-0.5, 0.5], the share of a pixel that the mesh covers beyond (or before) half-way between both centres,
        times the weight of the pair; with gradients to the vertices.
    """

    inner_O: Tensor
    outer_O: Tensor
    gain_O: Tensor

    def blend(self, image_CHW: Tensor) -> Tensor:
        """An image with the pixels of the outline blended by coverage. Its uncovered pixels hold the background."""
        flat_CN = image_CHW.flatten(1)
        step_CO = flat_CN[:, self.inner_O] - flat_CN[:, self.outer_O]
        to_outer_CO, to_inner_CO = self.gain_O.clamp(min=0) * step_CO, self.gain_O.clamp(max=0) * step_CO
        mixed_CN = flat_CN.index_add(1, self.outer_O, to_outer_CO).index_add(1, self.inner_O, to_inner_CO)
        return mixed_CN.view_as(image_CHW)


def find_outline(xy_V2: Tensor, faces_F3: Tensor, covered_HW: Tensor) -> Outline:
    """The outline of a rasterised mesh.

    xy_V2: vertices in pixels. faces_F3: without faces that reach in front of the near plane. covered_HW: bool.
    """
    with torch.no_grad():
        normal_2HW = outward_normals(covered_HW)
        faces_F3 = faces_F3[_near_outline(xy_V2[faces_F3], covered_HW)]
    edges_E2 = torch.cat([faces_F3[:, [0, 1]], faces_F3[:, [1, 2]], faces_F3[:, [2, 0]]])
    number_HW = torch.arange(covered_HW.numel(), device=covered_HW.device).view_as(covered_HW)
    along_x = _side_by_side(xy_V2, edges_E2, covered_HW, normal_2HW, number_HW)
    along_y = _side_by_side(xy_V2.flip(1), edges_E2, covered_HW.T, normal_2HW.flip(0).mT, number_HW.T)
    return Outline(*(torch.cat(parts) for parts in zip(along_x, along_y, strict=True)))


def outward_normals(covered_HW: Tensor) -> Tensor:
    """[2, H, W] the direction in which the smoothed mask falls, not of unit length; zero far from the outline."""
    smooth, slope = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]), torch.tensor([1.0, 2.0, 0.0, -2.0, -1.0])
    kernels = torch.stack([torch.outer(smooth, slope), torch.outer(slope, smooth)])[:, None].to(covered_HW.device)
    mask = F.pad(covered_HW.float()[None, None], (2, 2, 2, 2), mode="replicate")
    return F.conv2d(mask, kernels)[0]


def _near_outline(corners_F32: Tensor, covered_HW: Tensor) -> Tensor:
    """[F] whether a face's bounding box, one pixel wider, has covered and uncovered pixels; by a summed-area table."""
    height, width = covered_HW.shape
    table = F.pad(covered_HW.long().cumsum(0).cumsum(1), (1, 0, 1, 0))
    boxes = Boxes.of_pixel_centres(corners_F32.amin(1) - 1.5, corners_F32.amax(1) + 1.5, (width, height))
    x0, x1, y0, y1 = boxes.x0_G, boxes.x1_G, boxes.y0_G, boxes.y1_G
    covered = table[y1, x1] - table[y0, x1] - table[y1, x0] + table[y0, x0]
    return (covered > 0) & (covered < boxes.area_G)


def _side_by_side(
    xy_V2: Tensor, edges_E2: Tensor, covered_HW: Tensor, normal_2HW: Tensor, number_HW: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """inner_O, outer_O and gain_O of the pairs (pixel, next in its row) of which one is covered."""
    with torch.no_grad():
        edge_O, share_O, row_O, left_O = _farthest_crossings(xy_V2, edges_E2, covered_HW)
        outer_is_right_O = covered_HW[row_O, left_O]
        sign_O = outer_is_right_O.to(xy_V2.dtype) * 2 - 1
        normal_2O = F.normalize(normal_2HW[:, row_O, left_O] + normal_2HW[:, row_O, left_O + 1], dim=0).to(xy_V2)
        across_O = (normal_2O[0] * sign_O).clamp(min=0)
        left, right = number_HW[row_O, left_O], number_HW[row_O, left_O + 1]
    first_O2, second_O2 = (xy_V2.index_select(0, end) for end in edges_E2[edge_O].unbind(1))
    crossing_O2 = first_O2 + share_O[:, None] * (second_O2 - first_O2)  # a point of the mesh, moving with it
    with torch.no_grad():
        beyond_O = ((crossing_O2[:, 0] - left_O - 1) * sign_O).clamp(-0.5, 0.5)  # of half-way
    moved_O = ((crossing_O2 - crossing_O2.detach()) * normal_2O.T).sum(1)  # zero, with the gradient of the motion
    inner, outer = left.where(outer_is_right_O, right), right.where(outer_is_right_O, left)
    return inner, outer, across_O.square() * beyond_O + across_O * moved_O


def _farthest_crossings(xy_V2: Tensor, edges_E2: Tensor, covered_HW: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The crossing that reaches farthest out, for each pair of a covered and an uncovered pixel in a row.

    edge_O, share_O of the way along that edge, row_O and column left_O of the pair's left pixel.
    """
    height, width = covered_HW.shape
    (x0_E, y0_E), (x1_E, y1_E) = (xy_V2[end].unbind(1) for end in edges_E2.unbind(1))
    edge_I, row_I = _rows_between(y0_E, y1_E, height)
    y0_I, x0_I = y0_E[edge_I], x0_E[edge_I]
    share_I = (row_I + 0.5 - y0_I) / (y1_E[edge_I] - y0_I)
    x_I = x0_I + share_I * (x1_E[edge_I] - x0_I)
    left_I = (x_I - 0.5).floor().long()
    inside_I = (left_I >= 0) & (left_I < width - 1)
    column_I = left_I.clamp(0, width - 2)
    kept = inside_I & (covered_HW[row_I, column_I] != covered_HW[row_I, column_I + 1])
    edge_I, row_I, share_I, x_I, left_I = (values[kept] for values in (edge_I, row_I, share_I, x_I, left_I))
    reach_I = (x_I - left_I - 0.5).where(covered_HW[row_I, left_I], left_I + 1.5 - x_I).clamp(0, 1)
    key_I = order_preserving(reach_I) + torch.arange(len(reach_I), device=reach_I.device)
    farthest_N = key_I.new_full((height * width,), -1)
    farthest_N.scatter_reduce_(0, row_I * width + left_I, key_I, "amax")
    winner_O = farthest_N[farthest_N >= 0] & 0xFFFFFFFF
    return edge_I[winner_O], share_I[winner_O], row_I[winner_O], left_I[winner_O]


def _rows_between(y0_E: Tensor, y1_E: Tensor, height: int) -> tuple[Tensor, Tensor]:
    """Edge and row of every row of pixel centres that an edge crosses (its lower end included, its upper not)."""
    first_E = (y0_E.minimum(y1_E) - 0.5).ceil().clamp(0, height).long()
    count_E = (y0_E.maximum(y1_E) - 0.5).ceil().clamp(0, height).long() - first_E
    edge_I = torch.arange(len(count_E), device=count_E.device).repeat_interleave(count_E)
    start_E = count_E.cumsum(0) - count_E
    return edge_I, first_E[edge_I] + torch.arange(len(edge_I), device=count_E.device) - start_E[edge_I]
