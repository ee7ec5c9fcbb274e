"""`simulated`: an explicit model of the errors of monocular depth, so that everything runs without weights.

It is made from the ground truth and is never counted as an estimator. Lengths are shares of the image's width, so that
errors look alike at every resolution. The steps in their order; the numbers of each are in `Severity`:

1. thin parts vanish: pieces of an object narrower than `thin_width` take the depth of what is behind them;
2. objects are misplaced: each is moved along its rays, and its relief is flattened or stretched;
3. edges are blurred: the depth image is displaced by a smooth field and blurred across depth jumps, in inverse depth,
   which leaves ramps of flying pixels between object and background;
4. planes are bent: a smooth factor over the whole image;
5. correlated noise, as the patches of a network leave it;
6. far parts are compressed, and the farthest become invalid, as does the sky;
7. a global scale and shift, which the alignment can undo. It cannot undo the other steps.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from scenegen.annotate.protocol import Prediction, Request, SingleView, rng_for_view
from scenegen.contract.records import FIRST_OBJECT_ID
from scenegen.errors import UsageError

_STREAM = 1
_JUMP = 0.04  # relative change of depth from pixel to pixel (at 512 pixels) that is an edge
_REFERENCE_PX = 512


@dataclass(frozen=True, slots=True)
class Severity:
    """How large each error is: standard deviations unless stated otherwise; lengths are shares of the image's width.

    thin_width: pieces narrower than this vanish. object_move: relative, along the rays. object_relief: of the factor on
    an object's depth extent. displacement: of edges. blur: of the ramp across edges. bend: relative, over the image.
    bend_cells: waves across the image. grain: relative. compression: how much of the log-distance beyond the median is
    lost (0 to 1, mean). refused_share: of the farthest pixels (0 to 1, mean). scale: of the log of the global scale.
    shift: of the global shift, relative to the median depth.
    """

    thin_width: float
    object_move: float
    object_relief: float
    displacement: float
    blur: float
    bend: float
    bend_cells: int
    grain: float
    compression: float
    refused_share: float
    scale: float = 0.3
    shift: float = 0.08


SEVERITIES: Mapping[str, Severity] = {
    "mild": Severity(0.004, 0.008, 0.06, 0.0010, 0.0015, 0.012, 3, 0.0015, 0.03, 0.003),
    "medium": Severity(0.008, 0.020, 0.15, 0.0020, 0.0030, 0.030, 4, 0.0030, 0.10, 0.010),
    "severe": Severity(0.014, 0.050, 0.30, 0.0035, 0.0055, 0.050, 4, 0.0050, 0.22, 0.030),
}
MIXED = "mixed"
_MIX = {"mild": 0.4, "medium": 0.4, "severe": 0.2}


class SimulatedEstimator(SingleView):
    """The error model as an estimator; see DepthEstimator.

    severity: one of SEVERITIES, or "mixed" to draw one for each view. Raises UsageError for any other.
    """

    def __init__(self, severity: str = MIXED, seed: int = 0) -> None:
        if severity != MIXED and severity not in SEVERITIES:
            raise UsageError(f"there is no severity {severity!r}; choose one of {', '.join([*SEVERITIES, MIXED])}")
        self._severity, self._seed = severity, seed

    def predict(self, requests: Sequence[Request]) -> list[Prediction]:
        return [self._predict(request) for request in requests]

    def _predict(self, request: Request) -> Prediction:
        if request.truth is None:
            raise ValueError("simulated depth is made from the ground truth; this request has none")
        rng = rng_for_view(self._seed, request.scene_index, request.view_index, _STREAM)
        drawn = str(rng.choice(list(_MIX), p=list(_MIX.values())))
        name = drawn if self._severity == MIXED else self._severity
        truth = request.truth
        return Prediction(simulate(truth.depth_m, truth.instance_id, SEVERITIES[name], rng), variant=name)


def simulate(depth_m: np.ndarray, instance_id: np.ndarray, how: Severity, rng: np.random.Generator) -> np.ndarray:
    """(H, W) true planar depth (NaN where nothing was hit) to (H, W) float32 simulated depth, NaN where refused."""
    hit = np.isfinite(depth_m)
    if not hit.any():
        return np.full(depth_m.shape, np.nan, np.float32)
    depth = _without_holes(depth_m.astype(np.float32), hit)
    depth = _without_thin_parts(depth, instance_id, how)
    depth = _misplaced_objects(depth, instance_id, how, rng)
    depth = _bleeding_edges(depth, how, rng)
    depth *= np.exp(how.bend * _smooth_noise(depth.shape, how.bend_cells, rng))
    depth *= np.exp(how.grain * _smooth_noise(depth.shape, 48, rng))
    depth, refused = _far_parts(depth, hit, how, rng)
    median = float(np.median(depth[hit]))
    scale = math.exp(rng.normal(0, how.scale))
    shift = float(np.clip(rng.normal(0, how.shift), -0.2, 0.2)) * median
    depth = scale * np.maximum(depth + shift, 0.05 * median)
    depth[refused] = np.nan
    return depth


def _without_holes(depth: np.ndarray, hit: np.ndarray) -> np.ndarray:
    """Pixels without a surface get a depth behind the farthest surface; they become invalid later."""
    return np.where(hit, depth, 1.5 * depth[hit].max()).astype(np.float32)


def _without_thin_parts(depth: np.ndarray, instance_id: np.ndarray, how: Severity) -> np.ndarray:
    radius = how.thin_width * depth.shape[1] / 2
    if radius < 0.5:
        return depth
    # A pixel survives if a disc of this radius fits into its instance's mask and covers it. This is a morphological
    # opening of all masks at once, computed from distances to the nearest pixel of another id.
    inside = _distance_to_other_id(instance_id)
    core = inside > radius
    thin = ndimage.distance_transform_edt(~core) > radius + 0.5 if core.any() else np.ones(depth.shape, bool)
    thin &= instance_id >= FIRST_OBJECT_ID
    if not thin.any() or thin.all():
        return depth
    # The depth behind: that of the nearest pixel that survives, and of these the farthest in the neighbourhood.
    nearest = ndimage.distance_transform_edt(thin, return_distances=False, return_indices=True)
    behind = ndimage.maximum_filter(depth[tuple(nearest)], size=2 * math.ceil(radius) + 1)
    return np.where(thin, behind, depth)


def _distance_to_other_id(instance_id: np.ndarray) -> np.ndarray:
    """(H, W) distance in pixels to the nearest pixel that borders another id."""
    border = np.zeros(instance_id.shape, bool)
    border[:, 1:] |= instance_id[:, 1:] != instance_id[:, :-1]
    border[:, :-1] |= instance_id[:, 1:] != instance_id[:, :-1]
    border[1:] |= instance_id[1:] != instance_id[:-1]
    border[:-1] |= instance_id[1:] != instance_id[:-1]
    return ndimage.distance_transform_edt(~border) + 0.5 if border.any() else np.full(instance_id.shape, np.inf)


def _misplaced_objects(
    depth: np.ndarray, instance_id: np.ndarray, how: Severity, rng: np.random.Generator
) -> np.ndarray:
    result = depth.copy()
    for index, window in enumerate(ndimage.find_objects(instance_id.astype(np.int32)), 1):
        # One draw for each id, visible or not, so that an object's error does not depend on which others are visible.
        move, relief = math.exp(rng.normal(0, how.object_move)), max(0.3, 1 + rng.normal(0, how.object_relief))
        if window is None or index < FIRST_OBJECT_ID:
            continue
        mask = instance_id[window] == index
        own = depth[window][mask]
        middle = float(np.median(own))
        result[window][mask] = move * (middle + relief * (own - middle))
    return result


def _bleeding_edges(depth: np.ndarray, how: Severity, rng: np.random.Generator) -> np.ndarray:
    height, width = depth.shape
    inverse = (1 / depth).astype(np.float32)
    cells = 24
    flow = [how.displacement * width * _smooth_noise(depth.shape, cells, rng) for _ in range(2)]
    rows, columns = np.meshgrid(np.arange(height, dtype=np.float32), np.arange(width, dtype=np.float32), indexing="ij")
    moved = ndimage.map_coordinates(inverse, [rows + flow[0], columns + flow[1]], order=1, mode="nearest")
    blurred = ndimage.gaussian_filter(moved, how.blur * width, mode="nearest")
    near_edge = ndimage.gaussian_filter(_edges(moved).astype(np.float32), how.blur * width)
    # Blurred in a ramp as wide as the blur, sharp away from the edge.
    weight = np.clip(near_edge * 2.5 * max(how.blur * width, 0.4), 0, 1)
    return 1 / (weight * blurred + (1 - weight) * moved)


def _edges(inverse: np.ndarray) -> np.ndarray:
    """(H, W) bool: pixels at a depth discontinuity, horizontal or vertical."""
    log = np.log(inverse)
    jump = _JUMP * _REFERENCE_PX / inverse.shape[1]
    edges = np.zeros(inverse.shape, bool)
    # Second differences, because the depth of a slanted plane also changes from pixel to pixel, but at a steady rate.
    edges[:, 1:-1] |= np.abs(log[:, 2:] - 2 * log[:, 1:-1] + log[:, :-2]) > jump
    edges[1:-1] |= np.abs(log[2:] - 2 * log[1:-1] + log[:-2]) > jump
    return edges


def _far_parts(
    depth: np.ndarray, hit: np.ndarray, how: Severity, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """(depth with its far half compressed, (H, W) bool of what becomes invalid)."""
    log = np.log(depth)
    middle = float(np.median(log[hit]))
    compression = min(how.compression * rng.uniform(0, 2), 0.6)
    beyond = np.maximum(log - middle, 0)
    share = min(how.refused_share * rng.exponential(), 0.2)
    farness = log + 0.05 * _smooth_noise(depth.shape, 8, rng)  # not along depth contours
    limit = np.quantile(farness[hit], 1 - share)
    sky = ndimage.binary_dilation(~hit, iterations=max(1, round(how.blur * depth.shape[1])))
    refused = (farness > limit) | sky
    return np.exp(log - compression * beyond).astype(np.float32), refused


def _smooth_noise(shape: tuple[int, ...], cells: int, rng: np.random.Generator) -> np.ndarray:
    """(H, W) float32, mean about 0 and deviation about 1, with about `cells` bumps across the image."""
    height, width = shape
    rows, columns = max(2, round(cells * height / width)) + 3, cells + 3
    knots = rng.normal(size=(rows, columns)).astype(np.float32)
    at_rows = np.linspace(1, rows - 2, height, dtype=np.float32)
    at_columns = np.linspace(1, columns - 2, width, dtype=np.float32)
    # Cubic B-splines on a grid, one axis after the other; 0.48 is what such a sum leaves of the knots' deviation.
    smooth = _spline_weights(at_rows, rows) @ knots @ _spline_weights(at_columns, columns).T
    return smooth / 0.48


def _spline_weights(at: np.ndarray, knots: int) -> np.ndarray:
    """(N, knots) float32: cubic B-spline weights of each position."""
    distance = np.abs(at[:, None] - np.arange(knots, dtype=np.float32)[None])
    inner = 2 / 3 - distance**2 + distance**3 / 2
    outer = np.maximum(2 - distance, 0) ** 3 / 6
    return np.where(distance < 1, inner, outer).astype(np.float32)
