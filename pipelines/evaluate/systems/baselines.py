"""Baselines that need neither a network nor training data, and the ceiling that a copy of the truth reaches.

Shapes: H, W image, P points (pixels of a mask with depth), F faces.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from scipy.spatial import ConvexHull, QhullError

from pipelines.cameras import opengl_to_opencv, pixel_rays_opengl
from pipelines.evaluate.records.shapes import Shape
from pipelines.evaluate.records.systems import Prediction, SceneInput, SystemAnswer
from pipelines.evaluate.records.truth import TruthSet

SimpleBaselineName = Literal["visible_points", "visible_surface", "convex_hull", "ground_truth"]

MAX_DEPTH_STEP = 0.05
"""Neighbouring pixels whose depths differ by more than this share are not on one surface."""
_FEWEST_POINTS = 4


class NothingVisible(ValueError):
    """Too few pixels of an instance have depth."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """Makes one shape for each instance from what the image shows. make: scene and instance id to a shape."""

    name: str
    make: Callable[[SceneInput, int], Shape]
    reruns: bool = True

    def answers(self, variation: str) -> bool:
        return True

    def complete(self, scene: SceneInput) -> SystemAnswer:
        return SystemAnswer(tuple(self._one(scene, i) for i in scene.instance_ids))

    def _one(self, scene: SceneInput, instance_id: int) -> Prediction:
        try:
            return Prediction(instance_id, self.make(scene, instance_id))
        except NothingVisible as error:
            return Prediction(instance_id, None, "skipped", str(error))
        except QhullError:
            return Prediction(instance_id, None, "failed", "its visible points lie in a plane and have no hull")


@dataclass(frozen=True, slots=True)
class ResampledTruth:
    """The truth itself, sampled independently: the best score that finite samples allow."""

    truth: TruthSet
    name: str = "ground truth, sampled again"
    reruns: bool = True

    def answers(self, variation: str) -> bool:
        return True

    def complete(self, scene: SceneInput) -> SystemAnswer:
        view = self.truth.view(scene.key)
        if view.whole is not None:
            return SystemAnswer((Prediction(0, view.whole),))
        return SystemAnswer(tuple(Prediction(one.instance_id, one.shape) for one in view.objects))


def baseline(name: SimpleBaselineName, truth: TruthSet) -> Baseline | ResampledTruth:
    """The baseline of this name; only "ground_truth" uses the truth."""
    if name == "ground_truth":
        return ResampledTruth(truth)
    makers = {"visible_points": visible_points, "visible_surface": visible_surface, "convex_hull": convex_hull}
    return Baseline(name.replace("_", " "), makers[name])


def visible_points(scene: SceneInput, instance_id: int) -> Shape:
    """The unprojected pixels of the mask, in the colours of the image. Raises NothingVisible."""
    rows_P, columns_P = _pixels(scene, instance_id)
    return Shape.of_points(_unprojected(scene, rows_P, columns_P), scene.rgb_HW3[rows_P, columns_P])


def visible_surface(scene: SceneInput, instance_id: int) -> Shape:
    """A thin surface through the visible points: neighbouring pixels are joined unless depth jumps between them.

    Points that join nothing belong to no face, and so to no surface. Raises NothingVisible if there is no face.
    """
    points = visible_points(scene, instance_id)
    rows_P, columns_P = _pixels(scene, instance_id)
    faces_F3 = _grid_faces(rows_P, columns_P, scene.depth_HW)
    if not len(faces_F3):
        raise NothingVisible("no three neighbouring pixels of its mask lie on one surface")
    return replace(points, faces_F3=faces_F3)


def convex_hull(scene: SceneInput, instance_id: int) -> Shape:
    """The convex hull of the visible points, in their mean colour. Raises NothingVisible, QhullError for flat ones."""
    points = visible_points(scene, instance_id)
    hull = ConvexHull(points.vertices_V3)
    index_P = np.full(len(points.vertices_V3), -1)
    index_P[hull.vertices] = np.arange(len(hull.vertices))
    vertices_V3, faces_F3 = points.vertices_V3[hull.vertices], index_P[hull.simplices]
    return in_mean_colour(Shape(vertices_V3, _facing_outwards(vertices_V3, faces_F3)), points)


def in_mean_colour(shape: Shape, points: Shape) -> Shape:
    """The shape, all of it in the mean colour of coloured points."""
    assert points.colors_V3 is not None
    mean_colour = points.colors_V3.mean(axis=0).round().astype(np.uint8)
    return replace(shape, colors_V3=np.tile(mean_colour, (len(shape.vertices_V3), 1)))


def _pixels(scene: SceneInput, instance_id: int) -> tuple[np.ndarray, np.ndarray]:
    """(rows, columns) of the mask's pixels with depth, in reading order."""
    rows_P, columns_P = np.nonzero(scene.mask(instance_id) & np.isfinite(scene.depth_HW) & (scene.depth_HW > 0))
    if len(rows_P) < _FEWEST_POINTS:
        raise NothingVisible(f"{len(rows_P)} pixels of its mask have depth; {_FEWEST_POINTS} are needed")
    return rows_P, columns_P


def _unprojected(scene: SceneInput, rows_P: np.ndarray, columns_P: np.ndarray) -> np.ndarray:
    """(P, 3) float64 world points at the pixels' centres."""
    origin, direction = pixel_rays_opengl(
        torch.from_numpy(columns_P),
        torch.from_numpy(rows_P),
        torch.from_numpy(np.array(scene.K_px)),
        opengl_to_opencv(torch.from_numpy(np.array(scene.T_world_cam, np.float64))),
    )
    depth_P1 = torch.from_numpy(scene.depth_HW[rows_P, columns_P].astype(np.float64))[:, None]
    return (origin + depth_P1 * direction).numpy()


def _grid_faces(rows_P: np.ndarray, columns_P: np.ndarray, depth_HW: np.ndarray) -> np.ndarray:
    """(F, 3) two triangles for each 2 x 2 pixels of the mask, facing the camera, except across jumps of depth."""
    index_HW = np.full(depth_HW.shape, -1)
    index_HW[rows_P, columns_P] = np.arange(len(rows_P))
    a, b = index_HW[:-1, :-1].ravel(), index_HW[:-1, 1:].ravel()
    c, d = index_HW[1:, :-1].ravel(), index_HW[1:, 1:].ravel()
    faces_F3 = np.concatenate([np.stack([a, c, b], axis=1), np.stack([b, c, d], axis=1)])
    faces_F3 = faces_F3[(faces_F3 >= 0).all(axis=1)]
    depth_F3 = depth_HW[rows_P, columns_P][faces_F3]
    return faces_F3[depth_F3.max(axis=1) - depth_F3.min(axis=1) <= MAX_DEPTH_STEP * depth_F3.min(axis=1)]


def _facing_outwards(vertices_V3: np.ndarray, faces_F3: np.ndarray) -> np.ndarray:
    """The faces of a convex shape, counter-clockwise seen from outside; Qhull orders their corners arbitrarily."""
    corners_F33 = vertices_V3[faces_F3]
    normal_F3 = np.cross(corners_F33[:, 1] - corners_F33[:, 0], corners_F33[:, 2] - corners_F33[:, 0])
    inwards_F = (normal_F3 * (corners_F33[:, 0] - vertices_V3.mean(axis=0))).sum(axis=1) < 0
    return np.where(inwards_F[:, None], faces_F3[:, ::-1], faces_F3)
