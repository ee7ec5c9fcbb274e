"""The rasteriser of meshes: which triangle is visible in each pixel, and at which point of it.

Shapes: V vertices, F faces, A attributes, P pairs or covered pixels, H W image. A pixel's number is row * W + column.
Source: homogeneous rasterisation (Olano and Greer 1997). With camera-space vertices v_i and the ray d through a pixel,
the barycentric coordinates of the hit are proportional to d . (v_j x v_k): perspective-correct, without a division
by depth, and so without clipping.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipelines.rendering.pairs import MAX_PAIRS, Boxes, Pairs, order_preserving, pixel_pairs
from pipelines.rendering.view import View

NOTHING = torch.iinfo(torch.int64).max


@dataclass(frozen=True)
class Fragments:
    """The covered pixels of a picture, each with its nearest face.

    pixel_P: number of the pixel. face_P: the face. barycentric_P3: sums to 1. depth_P: planar.
    Barycentric coordinates and depth have gradients to the vertices.
    """

    pixel_P: Tensor
    face_P: Tensor
    barycentric_P3: Tensor
    depth_P: Tensor

    def interpolate(self, values_VA: Tensor, faces_F3: Tensor) -> Tensor:
        """[P, A] values at the vertices, perspective-correct at the pixels."""
        corners_P3A = values_VA.index_select(0, faces_F3.index_select(0, self.face_P).flatten()).unflatten(0, (-1, 3))
        return (self.barycentric_P3[..., None] * corners_P3A).sum(1)


def rasterise(camera_V3: Tensor, faces_F3: Tensor, view: View, max_pairs: int = MAX_PAIRS) -> Fragments:
    """The nearest face at the centre of every pixel. Both sides of a face are visible.

    camera_V3: vertices in camera axes. Of faces at exactly the same depth the one with the lower number is taken.
    """
    width, height = view.size_px
    K = view.K_px.to(camera_V3)
    with torch.no_grad():
        corners_F33 = camera_V3[faces_F3]
        nearest_N = torch.full((height * width,), NOTHING, device=camera_V3.device)
        for pairs in pixel_pairs(_boxes(corners_F33, K, view), max_pairs):
            barycentric_P3, depth_P = _hits(corners_F33.index_select(0, pairs.owner_P), pairs, K)
            hit = (barycentric_P3 >= 0).all(1) & (depth_P > view.near)  # a face seen edge-on has NaN: no hit
            key_P = order_preserving(depth_P[hit]) + pairs.owner_P[hit]
            nearest_N.scatter_reduce_(0, pairs.y_P[hit] * width + pairs.x_P[hit], key_P, "amin")
        pixel_P = (nearest_N != NOTHING).nonzero().squeeze(1)
        face_P = nearest_N[pixel_P] & 0xFFFFFFFF
    corners_P33 = camera_V3.index_select(0, faces_F3.index_select(0, face_P).flatten()).unflatten(0, (-1, 3))
    barycentric_P3, depth_P = _hits(corners_P33, Pairs(face_P, pixel_P % width, pixel_P // width), K)
    return Fragments(pixel_P, face_P, barycentric_P3, depth_P)


def _boxes(corners_F33: Tensor, K: Tensor, view: View) -> Boxes:
    """Pixels that a face may cover: its bounding box, or the whole image if it crosses the near plane."""
    depth_F3 = corners_F33[..., 2]
    xy_F32 = project(corners_F33, K, view.near)
    low_F2, high_F2 = xy_F32.amin(1), xy_F32.amax(1)
    crosses_F1 = (depth_F3.amin(1) <= view.near)[:, None]
    unseen_F1 = (depth_F3.amax(1) <= view.near)[:, None]
    low_F2 = low_F2.where(~crosses_F1, 0.0)
    high_F2 = high_F2.where(~crosses_F1, max(view.size_px)).where(~unseen_F1, -1.0)
    return Boxes.of_pixel_centres(low_F2, high_F2, view.size_px)


def project(camera_X3: Tensor, K: Tensor, near: float) -> Tensor:
    """[..., 2] pixel positions of points [..., 3] in camera axes. Those before the near plane are taken to be on it."""
    return camera_X3[..., :2] / camera_X3[..., 2:].clamp(min=near) * K.diagonal()[:2] + K[:2, 2]


def _hits(corners_P33: Tensor, pixels: Pairs, K: Tensor) -> tuple[Tensor, Tensor]:
    """Barycentric coordinates [P, 3] and planar depth [P] where the ray of a pixel meets the plane of a face.

    d . (v_j x v_k) is the same for v_j and v_k each moved along d into the plane of depth 0, which keeps it exact
    for triangles that are small or far away.
    """
    ray_P2 = torch.stack([pixels.x_P, pixels.y_P], dim=1).to(K) + 0.5
    ray_P2 = (ray_P2 - K[:2, 2]) / K.diagonal()[:2]
    x, y = (corners_P33[..., :2] - ray_P2[:, None] * corners_P33[..., 2:]).unbind(-1)
    weight_P3 = x.roll(-1, 1) * y.roll(-2, 1) - x.roll(-2, 1) * y.roll(-1, 1)
    barycentric_P3 = weight_P3 / weight_P3.sum(1, keepdim=True)
    return barycentric_P3, (barycentric_P3 * corners_P33[..., 2]).sum(1)
