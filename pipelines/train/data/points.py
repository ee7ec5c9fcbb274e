"""The visible points of an object, from a mix of true and estimated depth.

Shapes: W width of the image, H its rows, h w window around the object, P points.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pipelines.masks import EDGE_CONFIDENCE, interior
from pipelines.train.data.options import AlphaRule
from pipelines.train.data.scene_views import SceneView
from scenegen.contract.records import ViewObject
from scenegen.contract.sidecar import GROUND_TRUTH


@dataclass(frozen=True)
class VisiblePoints:
    """The visible points of one object.

    points_P3: float32, world coordinates in metres. confidence_P: float32, 1 inside the mask, 0.5 on its outline.
    depth_ratio: alpha, the share of estimated depth. estimator: whose depth it is; "gt" with alpha 0.
    """

    points_P3: np.ndarray
    confidence_P: np.ndarray
    depth_ratio: float
    estimator: str

    @property
    def num_interior(self) -> int:
        return int((self.confidence_P > EDGE_CONFIDENCE).sum())


def draw_alpha(rng: np.random.Generator, rule: AlphaRule | float) -> float:
    """A random alpha in [0, 1], or the fixed one. One random number is drawn in any case."""
    uniform = rng.random()
    if isinstance(rule, float):
        return rule
    if rule == "official":
        return min(1.0, 1.01 * uniform)
    return {"uniform": uniform, "estimate": 1.0, "truth": 0.0}[rule]


def visible_points(view: SceneView, seen: ViewObject, alpha: float) -> VisiblePoints:
    """The pixels of an object as points: depth = alpha * estimate + (1 - alpha) * truth.

    The estimate is aligned to the image and to this instance. Pixels without an estimate are left out. If the instance
    could not be aligned, the true depth is used, and the result says so (alpha 0, "gt").
    """
    left, upper, right, lower = seen.facts.visible_box_px
    window, width = (slice(upper, lower), slice(left, right)), view.depth_m.shape[1]
    mask_hw = (view.instance_id[window] == seen.instance_id) & np.isfinite(view.depth_m[window])
    within_P = np.flatnonzero(mask_hw)
    sure_P = interior(mask_hw, width).ravel()[within_P]
    row_P = within_P // (right - left)
    pixel_P = within_P + row_P * (width - (right - left)) + (upper * width + left)
    depth_P = view.depth_m.ravel()[pixel_P]
    estimator = GROUND_TRUTH
    if alpha > 0 and any(one.instance_id == seen.instance_id for one in view.estimate.instances):
        estimator = view.estimator
        depth_P = np.float32(alpha) * _aligned(view, seen.instance_id, pixel_P) + np.float32(1 - alpha) * depth_P
        known_P = np.isfinite(depth_P)
        if not known_P.all():
            depth_P, pixel_P, sure_P = depth_P[known_P], pixel_P[known_P], sure_P[known_P]
    points_P3 = unprojected(depth_P, pixel_P, width, view.view.K_px, view.view.T_world_cam)
    confidence_P = np.where(sure_P, np.float32(1), np.float32(EDGE_CONFIDENCE))
    return VisiblePoints(points_P3, confidence_P, alpha if estimator != GROUND_TRUTH else 0.0, estimator)


def moved(points_P3: np.ndarray, linear_33: np.ndarray, offset_3: np.ndarray) -> np.ndarray:
    """[P, 3] float32: linear @ p + offset. Column-major in memory, which makes bounds and comparisons quick."""
    moved_3P = np.empty((3, len(points_P3)), np.float32)
    np.matmul(linear_33.astype(np.float32), points_P3.T, out=moved_3P)
    moved_3P += offset_3.astype(np.float32)[:, None]
    return moved_3P.T


def unprojected(
    depth_P: np.ndarray, pixel_P: np.ndarray, width: int, K_px: np.ndarray, T_outer_cam: np.ndarray
) -> np.ndarray:
    """[P, 3] float32: pixels at their planar depth, in the frame around the camera.

    pixel_P: flat indices into an image of this width, which K_px (3, 3) is of. T_outer_cam: (4, 4), camera (OpenCV
    axes) to the frame around it.
    """
    row_P = pixel_P // width
    column_P = pixel_P - row_P * width
    K, T = K_px.astype(np.float32), T_outer_cam.astype(np.float32)
    x_W = (np.arange(width, dtype=np.float32) + np.float32(0.5) - K[0, 2]) / K[0, 0]
    y_H = (np.arange(row_P[-1] + 1 if len(row_P) else 0, dtype=np.float32) + np.float32(0.5) - K[1, 2]) / K[1, 1]
    camera_3P = np.stack([x_W[column_P] * depth_P, y_H[row_P] * depth_P, depth_P])
    return moved(camera_3P.T, T[:3, :3], T[:3, 3])


def _aligned(view: SceneView, instance_id: int, pixel_P: np.ndarray) -> np.ndarray:
    """[P] float32: the aligned estimate in metres at pixels, by their flat indices; NaN where there is none."""
    whole = view.estimate
    confidence_P = None if whole.confidence is None else whole.confidence.ravel()[pixel_P]
    part = replace(whole, map=whole.map.ravel()[pixel_P], confidence=confidence_P)
    return np.where(part.valid, part.aligned_to_instance_m(instance_id), np.nan)
