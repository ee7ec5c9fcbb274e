"""Draw a triangle mesh: attributes, depth, normals and a mask, all differentiable.

Inside the mesh, gradients reach the vertices through the barycentric coordinates of the pixels; at its outline,
through the share of a pixel that is covered (`outline.py`). Where one part of a mesh occludes another there is no
antialiasing: those edges are as jagged as the pixels, and get gradients only from what is drawn inside them.

Shapes: V vertices, F faces, A attributes, P covered pixels, H W image.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pipelines.rendering.mesh_raster import Fragments, project, rasterise
from pipelines.rendering.outline import Outline, find_outline
from pipelines.rendering.view import View, at_least_float32


@dataclass(frozen=True)
class MeshRender:
    """A picture of a mesh.

    mask_HW: share of each pixel that is covered, in [0, 1]; 0 or 1 except at the outline.
    depth_HW: planar, at the centres of covered pixels; NaN elsewhere.
    normal_3HW: unit face normals in world axes (counter-clockwise faces look at the camera); 0 where not covered.
    attributes_AHW: interpolated, over the background and blended with it at the outline; None without attributes.
    face_HW: int64 visible face, -1 where not covered.
    """

    mask_HW: Tensor
    depth_HW: Tensor
    normal_3HW: Tensor
    attributes_AHW: Tensor | None
    face_HW: Tensor

    @property
    def covered_HW(self) -> Tensor:
        return self.face_HW >= 0


def render_mesh(
    vertices_V3: Tensor,
    faces_F3: Tensor,
    view: View,
    attributes_VA: Tensor | None = None,
    background: Tensor | float = 0.0,
) -> MeshRender:
    """Draw a mesh in world coordinates, both sides of every face.

    faces_F3: int64. background: [A] or one value. Parts in front of the near plane are clipped.
    """
    device = vertices_V3.device
    with torch.autocast(device.type, enabled=False):
        return _render(at_least_float32(vertices_V3), faces_F3, view.to(device), attributes_VA, background)


def _render(
    vertices_V3: Tensor, faces_F3: Tensor, view: View, attributes_VA: Tensor | None, background: Tensor | float
) -> MeshRender:
    width, height = view.size_px
    camera_V3 = view.to_camera(vertices_V3)
    fragments = rasterise(camera_V3, faces_F3, view)
    canvas = Canvas(fragments.pixel_P, (height, width))
    face_HW = canvas.paint(fragments.face_P[:, None], -1)[0]
    outline = _outline(camera_V3, faces_F3, view, face_HW >= 0)
    attributes_AHW = None
    if attributes_VA is not None:
        values_PA = fragments.interpolate(attributes_VA.to(camera_V3), faces_F3)
        attributes_AHW = outline.blend(canvas.paint(values_PA, background))
    return MeshRender(
        mask_HW=outline.blend((face_HW >= 0).to(camera_V3)[None])[0].clamp(0, 1),
        depth_HW=canvas.paint(fragments.depth_P[:, None], torch.nan)[0],
        normal_3HW=canvas.paint(_face_normals(vertices_V3, faces_F3, fragments), 0.0),
        attributes_AHW=attributes_AHW,
        face_HW=face_HW,
    )


@dataclass(frozen=True)
class Canvas:
    """An image in which some pixels, given by their numbers, get values."""

    pixel_P: Tensor
    size_hw: tuple[int, int]

    def paint(self, values_PA: Tensor, background: Tensor | float) -> Tensor:
        """[A, H, W] values at their pixels, `background` ([A] or one value) elsewhere."""
        height, width = self.size_hw
        channels = values_PA.shape[1]
        blank_NA = values_PA.new_zeros(height * width, channels) + torch.as_tensor(background).to(values_PA)
        return blank_NA.index_copy(0, self.pixel_P, values_PA).T.reshape(channels, height, width)


def _outline(camera_V3: Tensor, faces_F3: Tensor, view: View, covered_HW: Tensor) -> Outline:
    before_F = (camera_V3.detach()[:, 2] <= view.near)[faces_F3].any(1)
    xy_V2 = project(camera_V3, view.K_px.to(camera_V3), view.near)
    return find_outline(xy_V2, faces_F3[~before_F], covered_HW)


def _face_normals(vertices_V3: Tensor, faces_F3: Tensor, fragments: Fragments) -> Tensor:
    """[P, 3]"""
    a, b, c = vertices_V3[faces_F3[fragments.face_P]].unbind(1)
    return F.normalize(torch.linalg.cross(b - a, c - a), dim=1, eps=1e-20)
