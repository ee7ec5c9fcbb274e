"""Scores of a decoded mesh against the true one, and a picture of both.

Shapes: K views, H W their size.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image
from torch import Tensor

from models.flexicubes.extraction import Mesh
from pipelines.evaluate.metrics.distances import neighbours, point_scores
from pipelines.evaluate.metrics.normals import normal_consistency
from pipelines.evaluate.metrics.sampling import EmptyShape, Samples, sample_shape
from pipelines.evaluate.records.shapes import Shape
from pipelines.rendering import render_mesh
from pipelines.train.losses.meshes import COLOURS, MeshViews, draw, normal_image
from pipelines.train.stages.pictures import image_picture, table_of_pictures

POINTS = 4096
FAR = 1.0  # Chamfer distance of a mesh without faces: the edge of the cube


def mesh_scores(mesh: Mesh, truth: MeshViews) -> dict[str, float]:
    """Scores of one mesh by name.

    chamfer: mean of the two mean distances between points on the surfaces, in edges of the cube.
    normal_consistency: mean |cosine| between normals of nearest points. silhouette_iou: mean over views.
    """
    scores = {"silhouette_iou": _silhouette_iou(mesh, truth), "chamfer": FAR, "normal_consistency": 0.0}
    try:
        found, true = (_samples(*surface) for surface in (_surface(mesh), (truth.vertices_P3, truth.faces_F3)))
    except EmptyShape:
        return scores
    pairs = neighbours(true.points_N3, found.points_N3)
    assert true.normals_N3 is not None and found.normals_N3 is not None  # both are surfaces
    scores["chamfer"] = point_scores(pairs).chamfer
    scores["normal_consistency"] = normal_consistency(true.normals_N3, found.normals_N3, pairs)
    return scores


def meshes_beside_truth(meshes: Sequence[Mesh], truths: Sequence[MeshViews], views: int = 2) -> Image.Image:
    """A table with a row for each object: in some of its views the colours and face normals, true and decoded."""
    rows = []
    for mesh, truth in zip(meshes, truths, strict=True):
        row = []
        for k, render in enumerate(draw(mesh, truth.views[:views], truth.background)):
            decoded = normal_image(render.normal_3HW, render.covered_HW)
            colours = truth.pictures_K3HW[k] if render.attributes_AHW is None else render.attributes_AHW[:COLOURS]
            row += [truth.pictures_K3HW[k], colours, truth.normals_K3HW[k], decoded]
        rows.append([image_picture(image) for image in row])
    shown = len(rows[0]) // 4
    return table_of_pictures(("target", "decoded", "target normals", "decoded normals") * shown, rows)


def _silhouette_iou(mesh: Mesh, truth: MeshViews) -> float:
    values = []
    for view, true in zip(truth.views, truth.renders, strict=True):
        covered = render_mesh(mesh.vertices_V3, mesh.faces_F3, view).covered_HW
        both, either = (covered & true.covered_HW).sum(), (covered | true.covered_HW).sum()
        values.append(float(both / either.clamp(min=1)))
    return float(np.mean(values))


def _surface(mesh: Mesh) -> tuple[Tensor, Tensor]:
    return mesh.vertices_V3, mesh.faces_F3


def _samples(vertices: Tensor, faces: Tensor) -> Samples:
    """Points on a surface, the same in every run. Raises EmptyShape for a mesh without faces."""
    if not len(faces):
        raise EmptyShape("no faces")
    shape = Shape(vertices.detach().cpu().numpy(), faces.cpu().numpy())
    return sample_shape(shape, POINTS, np.random.default_rng(0))
