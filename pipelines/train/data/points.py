"""The visible points of an object, from a mix of true and estimated depth.

Shapes: h w window of the image around the object, P points.
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
    window = slice(upper, lower), slice(left, right)
    depth_hw = view.depth_m[window]
    mask_hw = (view.instance_id[window] == seen.instance_id) & np.isfinite(depth_hw)
    interior_hw = interior(mask_hw, view.instance_id.shape[1])
    estimator = GROUND_TRUTH
    if alpha > 0 and any(one.instance_id == seen.instance_id for one in view.estimate.instances):
        estimator = view.estimator
        estimate_hw = _aligned(view, seen.instance_id, window)
        depth_hw = np.float32(alpha) * estimate_hw + np.float32(1 - alpha) * depth_hw
        mask_hw = mask_hw & np.isfinite(depth_hw)
    points_P3 = unprojected(depth_hw, mask_hw, (left, upper), view.view.K_px, view.view.T_world_cam)
    confidence_P = np.where(interior_hw[mask_hw], np.float32(1), np.float32(EDGE_CONFIDENCE))
    return VisiblePoints(points_P3, confidence_P, alpha if estimator != GROUND_TRUTH else 0.0, estimator)


def moved(points_P3: np.ndarray, linear_33: np.ndarray, offset_3: np.ndarray) -> np.ndarray:
    """[P, 3] float32: linear @ p + offset. Column-major in memory, which makes bounds and comparisons quick."""
    moved_3P = np.empty((3, len(points_P3)), np.float32)
    np.matmul(linear_33.astype(np.float32), points_P3.T, out=moved_3P)
    moved_3P += offset_3.astype(np.float32)[:, None]
    return moved_3P.T


def unprojected(
    depth_hw: np.ndarray, mask_hw: np.ndarray, corner_px: tuple[int, int], K_px: np.ndarray, T_outer_cam: np.ndarray
) -> np.ndarray:
    """[P, 3] float32: the pixels of a mask at their planar depth, in the frame around the camera.

    corner_px: column and row of the window's first pixel in the image that K_px (3, 3) is of. T_outer_cam: (4, 4),
    camera (OpenCV axes) to the frame around it.
    """
    rows, columns = np.nonzero(mask_hw)
    K, T = K_px.astype(np.float32), T_outer_cam.astype(np.float32)
    x_w = (np.arange(mask_hw.shape[1], dtype=np.float32) + np.float32(corner_px[0] + 0.5) - K[0, 2]) / K[0, 0]
    y_h = (np.arange(mask_hw.shape[0], dtype=np.float32) + np.float32(corner_px[1] + 0.5) - K[1, 2]) / K[1, 1]
    depth_P = depth_hw[mask_hw]
    camera_3P = np.stack([x_w[columns] * depth_P, y_h[rows] * depth_P, depth_P])
    return moved(camera_3P.T, T[:3, :3], T[:3, 3])


def _aligned(view: SceneView, instance_id: int, window: tuple[slice, slice]) -> np.ndarray:
    """(h, w) float32: the aligned estimate in metres in a window of the image, NaN where there is none."""
    whole = view.estimate
    confidence = None if whole.confidence is None else whole.confidence[window]
    part = replace(whole, map=whole.map[window], confidence=confidence)
    return np.where(part.valid, part.aligned_to_instance_m(instance_id), np.nan)
