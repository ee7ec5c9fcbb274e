"""The losses of a decoded mesh: its renders against those of the true mesh, signed distances, regularisers.

Shapes: K views, H W their size, V grid corners, P vertices, F faces.
Source: TRELLIS's mesh decoder training, which 3D-Fixer keeps; where ours differs, the docstring says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from models.flexicubes.extraction import Mesh, MeshTraining
from pipelines.rendering import MeshRender, View, render_mesh
from pipelines.train.losses.images import ImageLoss

COLOURS = 3  # the first attributes of a decoded mesh; its predicted normals follow


@dataclass(frozen=True)
class MeshWeights:
    """The weight of each term.

    colour: of the image losses of colours and of predicted normal maps. regulariser: of the regularisers of FlexiCubes
    (corner disagreement + 0.5 L_dev + 0.2 |weights|).
    """

    mask: float = 1.0
    depth: float = 10.0
    normal: float = 1.0
    tsdf: float = 0.01
    colour: float = 0.1
    regulariser: float = 1.0


@dataclass(frozen=True)
class MeshViews:
    """The true mesh and its views. Lengths in edges of the cube.

    vertices_P3: float32. faces_F3: int64. views: K cameras. renders: of the geometry, one for each view.
    pictures_K3HW: what the cameras saw of the asset, over a grey of brightness `background` (scalar).
    normals_K3HW: see `normal_image`.
    """

    vertices_P3: Tensor
    faces_F3: Tensor
    views: Sequence[View]
    renders: Sequence[MeshRender]
    pictures_K3HW: Tensor
    background: Tensor
    normals_K3HW: Tensor

    @classmethod
    @torch.no_grad()
    def of(
        cls,
        vertices_P3: Tensor,
        faces_F3: Tensor,
        views: Sequence[View],
        pictures_K3HW: Tensor,
        background: Tensor,
    ) -> Self:
        """Render the true mesh from each view."""
        renders = [render_mesh(vertices_P3, faces_F3, view) for view in views]
        pairs = zip(renders, views, strict=True)
        normals = torch.stack([normal_image(facing_camera(r, view), r.covered_HW) for r, view in pairs])
        return cls(vertices_P3, faces_F3, views, renders, pictures_K3HW, background, normals)


@dataclass(frozen=True)
class MeshLoss:
    """All losses of one object. resolution: of the decoder's grid, in cells along an edge."""

    image: ImageLoss
    weights: MeshWeights
    resolution: int

    def __call__(self, mesh: Mesh, truth: MeshViews) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss and, by name, its unweighted parts; all scalars.

        Raises ValueError for a mesh that was not extracted for training.
        """
        if mesh.training is None:
            raise ValueError("the losses need what FlexiCubes gives in training; extract the mesh with training=True")
        renders = draw(mesh, truth.views, truth.background)
        normals_K3HW = torch.stack([normal_image(r.normal_3HW, r.covered_HW) for r in renders])
        colours_K6HW = _attributes(renders)
        terms = {
            "mask": mask_term(renders, truth.renders),
            "depth": depth_term(renders, truth.renders, self.resolution),
            "normal": self.image(normals_K3HW, truth.normals_K3HW)[0].mean(),
            "tsdf": tsdf_term(mesh.training, truth.renders, truth.views, self.resolution),
            "colour": self.image(colours_K6HW[:, :COLOURS], truth.pictures_K3HW)[0].mean()
            + self.image(colours_K6HW[:, COLOURS:], truth.normals_K3HW)[0].mean(),
            "regulariser": mesh.training.reg_loss,
        }
        weighted = [getattr(self.weights, name) * value for name, value in terms.items()]
        return torch.stack(weighted).sum(), terms


def draw(mesh: Mesh, views: Sequence[View], background: Tensor) -> list[MeshRender]:
    """Renders of a decoded mesh: colours over a grey of brightness `background`, predicted normals over black."""
    behind = torch.cat([background.expand(COLOURS), torch.zeros_like(background).expand(COLOURS)])
    return [render_mesh(mesh.vertices_V3, mesh.faces_F3, view, mesh.attributes_VA, behind) for view in views]


def mask_term(pictures: Sequence[MeshRender], truths: Sequence[MeshRender]) -> Tensor:
    """Mean absolute difference of the masks."""
    return _mean([(p.mask_HW - t.mask_HW).abs().mean() for p, t in zip(pictures, truths, strict=True)])


def depth_term(pictures: Sequence[MeshRender], truths: Sequence[MeshRender], resolution: int) -> Tensor:
    """Smooth L1 of depth with beta of half a cell of the decoder's grid; mean over the image, 0 where not both cover.

    Where only one covers a pixel, depth has no useful gradient, but the mask has.
    """
    beta = 1 / (2 * resolution)
    parts = []
    for picture, truth in zip(pictures, truths, strict=True):
        both = picture.covered_HW & truth.covered_HW
        error = F.smooth_l1_loss(picture.depth_HW[both], truth.depth_HW[both], beta=beta, reduction="sum")
        parts.append(error / both.numel())
    return _mean(parts)


def tsdf_term(training: MeshTraining, truths: Sequence[MeshRender], views: Sequence[View], resolution: int) -> Tensor:
    """Squared difference, in cells, between the SDF at grid corners and their distance along z to the true surface.

    The true surface is what each camera sees; distances are positive in front of it. Only corners that are less than
    `1 / resolution` of the cube away from it count.
    """
    parts = []
    for truth, view in zip(truths, views, strict=True):
        with torch.autocast(training.corner_V3.device.type, enabled=False):  # half precision is coarser than cells
            corner_V3 = view.to_camera(training.corner_V3)
        K = view.K_px.to(corner_V3)
        height, width = truth.depth_HW.shape
        with torch.no_grad():
            xy_V2 = (corner_V3[:, :2] / corner_V3[:, 2:] * K.diagonal()[:2] + K[:2, 2]).floor().long()
            x_V, y_V = xy_V2.unbind(1)
            inside_V = (x_V >= 0) & (x_V < width) & (y_V >= 0) & (y_V < height) & (corner_V3[:, 2] > view.near)
            seen_V = truth.depth_HW[y_V.clamp(0, height - 1), x_V.clamp(0, width - 1)]
            near_V = inside_V & ((seen_V - corner_V3[:, 2]).abs() < 1 / resolution)  # NaN compares false
        distance = seen_V[near_V] - corner_V3[near_V, 2]
        error = ((training.sdf_V[near_V] - distance) * resolution).square()
        parts.append(error.sum() / max(len(error), 1))
    return _mean(parts)


def normal_image(normal_3HW: Tensor, covered_HW: Tensor) -> Tensor:
    """[3, H, W] in [0, 1]: normals as colours, black in pixels that nothing covers."""
    return (normal_3HW / 2 + 0.5) * covered_HW


def facing_camera(render: MeshRender, view: View) -> Tensor:
    """[3, H, W]: the normals of a render, flipped where they point away from the camera.

    Collected meshes have faces of either winding order, but every visible side of a solid faces the camera.
    """
    rays_3HW = view.to(render.normal_3HW.device).rays_3HW().to(render.normal_3HW)
    away_HW = (render.normal_3HW * rays_3HW).sum(0) > 0
    return render.normal_3HW.where(~away_HW, -render.normal_3HW)


def _attributes(renders: Sequence[MeshRender]) -> Tensor:
    """[K, 6, H, W]: colours and predicted normals. Raises ValueError for a mesh without colours."""
    images = [render.attributes_AHW for render in renders]
    if any(image is None for image in images):
        raise ValueError("the mesh decoder must predict colours; give its config use_color=True")
    return torch.stack([image for image in images if image is not None])


def _mean(parts: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(parts)).mean()
