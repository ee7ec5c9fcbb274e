"""Retrieval of the training asset that fits the visible points best: what memorising the training data is worth.

Assets stand upright in scenes (z up) with any heading, so a pose is a yaw, a scale and a translation. The misfit of a
pose, in metres, is

    the mean distance from the visible points to the asset
    + _EMPTY_WEIGHT times the mean depth of the asset's points in space that is seen to be empty (free_space.py)
    + _HIDDEN_WEIGHT times their mean distance from the visible points.

Many poses of every asset are tried on a coarse distance grid, and the best ones are refined by ICP. The baseline sees
nothing but the `SceneInput`.
Shapes: Y yaws, B bottoms, S scales, O sides, C corners, P visible points, Q points of an asset, K poses.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

from pipelines.evaluate.metrics.sampling import EmptyShape, sample_rng, sample_shape
from pipelines.evaluate.records.shapes import Shape
from pipelines.evaluate.records.systems import SceneInput
from pipelines.evaluate.systems.baselines import in_mean_colour, visible_points
from pipelines.evaluate.systems.free_space import FreeSpace
from scenegen.contract.objects import GRID, ObjectGeometry

_STREAM = 3  # of random numbers, beside those of sampled points and merged pairs
_YAWS = 24
_COARSE_GRID = 32
_COARSE_POINTS, _FINE_POINTS = 64, 256
_ASSET_POINTS, _PLACED_POINTS = 2048, 512
_EMPTY_WEIGHT = 0.5
_HIDDEN_WEIGHT = 0.15
"""Without it, large assets win that fit one visible patch and fill the cone behind the mask (README)."""
_RELATIVE_SCALES = (1.0, 1.15, 1.4, 1.8)
"""Multiples of the smallest scale at which the asset's box holds the visible points: more room for hidden parts."""
_CORNERS = ((0, 0, 1, 1, 2), (0, 1, 0, 1, 2))
"""What the visible box and the asset's box have in common along x and y: low side (0), high side (1), middle (2)."""
_POSES_WITH_FREE_SPACE, _POSES_AN_ASSET, _POSES_REFINED = 64, 3, 48
_ICP_STEPS, _ICP_KEPT = 4, 0.9
_BOX_SHARE = 0.01  # of the points lie beyond each side of the visible box, as flying pixels do
_FLOOR_SHARE = 0.02  # of the image's points lie below the floor, by errors of depth
_SAME_BOTTOM = 0.02  # of the visible height; nearer to it than this, the floor is no other bottom to try


@dataclass(frozen=True, slots=True)
class Pose:
    """Canonical to world: world = scale * Rz(yaw) @ v + shift. misfit: metres, lower is better."""

    misfit: float
    yaw_rad: float
    scale: float
    shift_3: np.ndarray

    @property
    def T_world_obj(self) -> np.ndarray:
        """(4, 4) float64."""
        T = np.eye(4)
        T[:3, :3], T[:3, 3] = self.scale * _rotation_z(self.yaw_rad), self.shift_3
        return T


@dataclass(frozen=True, slots=True)
class IndexedAsset:
    """A training asset, prepared for the search; all in its canonical frame.

    points_Q3: float32, on its surface, in random order. tree: of these points. distance_G: float32, distance from each
    voxel of a coarse grid to the nearest one that the surface touches; flat.
    """

    uid: str
    shape: Shape
    points_Q3: np.ndarray
    tree: cKDTree
    distance_G: np.ndarray

    @classmethod
    def of(cls, geometry: ObjectGeometry) -> IndexedAsset:
        """Raises EmptyShape for a mesh without area."""
        shape = Shape(geometry.vertices, geometry.faces)
        points_Q3 = sample_shape(shape, _ASSET_POINTS, np.random.default_rng(0)).points_N3
        free = np.ones((_COARSE_GRID,) * 3, bool)
        free[tuple((geometry.voxels // (GRID // _COARSE_GRID)).T)] = False
        distance_G = (distance_transform_edt(free) / _COARSE_GRID).astype(np.float32).ravel()
        return cls(geometry.asset_uid, shape, points_Q3.astype(np.float32), cKDTree(points_Q3), distance_G)

    @property
    def box_23(self) -> np.ndarray:
        """(2, 3) low and high corner."""
        return np.stack([self.shape.vertices_V3.min(axis=0), self.shape.vertices_V3.max(axis=0)]).astype(np.float64)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a view shows of an instance. coarse_P3, fine_P3: float64, visible points in the world.

    box_Y23: low and high corner of all of them, in axes rotated by each yaw. bottoms_B: heights at which it may stand.
    free: the space around it that is seen to be empty.
    """

    coarse_P3: np.ndarray
    fine_P3: np.ndarray
    box_Y23: np.ndarray
    bottoms_B: np.ndarray
    free: FreeSpace

    @classmethod
    def of(cls, scene: SceneInput, instance_id: int, points_P3: np.ndarray) -> Evidence:
        """points_P3: all visible points of the instance, in the world."""
        rng = sample_rng(0, scene.key, instance_id, _STREAM)
        chosen = rng.permutation(len(points_P3))[:_FINE_POINTS]
        rotated_YP3 = points_P3 @ _YAW_MATRICES  # p @ R is R^-1 p
        box_Y23 = np.quantile(rotated_YP3, (_BOX_SHARE, 1 - _BOX_SHARE), axis=1).transpose(1, 0, 2)
        low, high = box_Y23[0, :, 2]
        floor = floor_height(scene)
        bottoms = [low] if floor > low - _SAME_BOTTOM * (high - low) else [low, floor]
        return cls(
            coarse_P3=points_P3[chosen[:_COARSE_POINTS]],
            fine_P3=points_P3[chosen],
            box_Y23=box_Y23,
            bottoms_B=np.array(bottoms),
            free=FreeSpace.of(scene, instance_id),
        )

    def asset_misfit(self, points_KQ3: np.ndarray) -> np.ndarray:
        """(K,) metres: the part of the misfit that an asset's points in the world cause."""
        return _EMPTY_WEIGHT * self.free.intrusion(points_KQ3) + _HIDDEN_WEIGHT * self._mean_distance(points_KQ3)

    def _mean_distance(self, points_KQ3: np.ndarray) -> np.ndarray:
        """(K,) mean distance of points to the nearest of the coarse visible points."""
        centre_3 = self.coarse_P3.mean(axis=0)
        visible_P3 = (self.coarse_P3 - centre_3).astype(np.float32)
        points_KQ3 = points_KQ3 - centre_3.astype(np.float32)
        # |p - v|^2 = |p|^2 - 2 p.v + |v|^2; around the centre, single precision is enough.
        square_KQP = (visible_P3**2).sum(axis=1) - 2 * points_KQ3 @ visible_P3.T
        square_KQ = (points_KQ3**2).sum(axis=-1) + square_KQP.min(axis=-1)
        return np.sqrt(np.maximum(square_KQ, 0)).mean(axis=-1)


@dataclass(frozen=True, slots=True)
class NearestAsset:
    """The baseline: one of these assets for every instance, in the mean colour of the instance's visible pixels."""

    assets: tuple[IndexedAsset, ...]

    @classmethod
    def from_geometries(cls, geometries: Iterable[ObjectGeometry]) -> NearestAsset:
        """Assets without a surface are left out."""
        indexed = []
        for geometry in geometries:
            try:
                indexed.append(IndexedAsset.of(geometry))
            except EmptyShape:
                continue  # nothing that a scene could show
        return cls(tuple(indexed))

    def __call__(self, scene: SceneInput, instance_id: int) -> Shape:
        """The asset that fits best, in the world. Raises NothingVisible."""
        points = visible_points(scene, instance_id)
        asset, pose = self.find(Evidence.of(scene, instance_id, points.vertices_V3))
        return in_mean_colour(asset.shape.moved(pose.T_world_obj), points)

    def find(self, seen: Evidence) -> tuple[IndexedAsset, Pose]:
        """The asset and pose with the lowest misfit."""
        coarse = [(pose, asset) for asset in self.assets for pose in coarse_poses(asset, seen)]
        best = heapq.nsmallest(_POSES_REFINED, coarse, key=lambda one: one[0].misfit)
        refined = [(refine(asset, pose, seen), asset) for pose, asset in best]
        pose, asset = min(refined, key=lambda one: one[0].misfit)
        return asset, pose


def coarse_poses(asset: IndexedAsset, seen: Evidence) -> list[Pose]:
    """The best few poses of one asset, of all yaws, bottoms, scales and corners."""
    scale_YBS1, shift_YBSC3 = _candidates(asset, seen)
    distance_YBSC = _coarse_distance(asset, seen, scale_YBS1, shift_YBSC3)
    nearest = np.argpartition(distance_YBSC.ravel(), min(_POSES_WITH_FREE_SPACE, distance_YBSC.size - 1))
    nearest = nearest[:_POSES_WITH_FREE_SPACE]
    yaw, bottom, step, corner = np.unravel_index(nearest, distance_YBSC.shape)
    scale_K, shift_K3 = scale_YBS1[yaw, bottom, step, 0], shift_YBSC3[yaw, bottom, step, corner]
    linear_K33 = _YAW_MATRICES[yaw] * scale_K[:, None, None]
    points_KQ3 = asset.points_Q3[:_COARSE_POINTS] @ linear_K33.transpose(0, 2, 1).astype(np.float32)
    # Shifts are in the rotated axes.
    world_K3 = np.einsum("kij,kj->ki", _YAW_MATRICES[yaw], shift_K3)
    misfit_K = distance_YBSC.ravel()[nearest] + seen.asset_misfit(points_KQ3 + world_K3[:, None].astype(np.float32))
    order = np.argsort(misfit_K, kind="stable")[:_POSES_AN_ASSET]
    return [Pose(float(misfit_K[k]), float(_YAW_RADS[yaw[k]]), float(scale_K[k]), world_K3[k]) for k in order]


def refine(asset: IndexedAsset, start: Pose, seen: Evidence) -> Pose:
    """The best pose of a few ICP steps, which match visible points with the asset's nearest ones, never the reverse."""
    best, pose = None, start
    for _ in range(_ICP_STEPS):
        linear_33 = pose.scale * _rotation_z(pose.yaw_rad)
        own_P3 = (seen.fine_P3 - pose.shift_3) @ np.linalg.inv(linear_33).T
        distance_P, index_P = asset.tree.query(own_P3)
        placed_1Q3 = (asset.points_Q3[:_PLACED_POINTS] @ linear_33.T + pose.shift_3)[None].astype(np.float32)
        misfit = pose.scale * float(distance_P.mean()) + float(seen.asset_misfit(placed_1Q3)[0])
        if best is None or misfit < best.misfit:
            best = Pose(misfit, pose.yaw_rad, pose.scale, pose.shift_3)
        kept = distance_P <= np.quantile(distance_P, _ICP_KEPT)
        pose = _upright_similarity(asset.points_Q3[index_P[kept]].astype(np.float64), seen.fine_P3[kept])
    assert best is not None
    return best


def floor_height(scene: SceneInput) -> float:
    """Height in the world of nearly the lowest point that the image shows: the floor, if any of it is visible."""
    rows_P, columns_P = np.nonzero(np.isfinite(scene.depth_HW) & (scene.depth_HW > 0))
    depth_P = scene.depth_HW[rows_P, columns_P].astype(np.float64)
    pixel_3P = np.stack([columns_P + 0.5, rows_P + 0.5, np.ones(len(rows_P))])
    height_per_depth_P = scene.T_world_cam[2, :3] @ np.linalg.inv(scene.K_px) @ pixel_3P
    return float(np.quantile(height_per_depth_P * depth_P + scene.T_world_cam[2, 3], _FLOOR_SHARE))


def _candidates(asset: IndexedAsset, seen: Evidence) -> tuple[np.ndarray, np.ndarray]:
    """Scales [Y, B, S, 1], and shifts [Y, B, S, C, 3] in rotated axes, of all poses that are tried."""
    low_3, high_3 = asset.box_23
    size_3 = np.maximum(high_3 - low_3, 1 / _COARSE_GRID)
    box_Y23 = seen.box_Y23
    flat_Y = ((box_Y23[:, 1, :2] - box_Y23[:, 0, :2]) / size_3[:2]).max(axis=1)
    upright_YB = (box_Y23[:, 1, 2, None] - seen.bottoms_B) / size_3[2]
    least_YB = np.maximum(np.maximum(flat_Y[:, None], upright_YB), 1e-6)
    scale_YBS1 = (least_YB[..., None] * np.array(_RELATIVE_SCALES))[..., None]
    sides_YBS2O = np.stack(
        [
            box_Y23[:, None, None, 0, :2] - scale_YBS1 * low_3[:2],
            box_Y23[:, None, None, 1, :2] - scale_YBS1 * high_3[:2],
            box_Y23[:, None, None, :, :2].mean(axis=-2) - scale_YBS1 * (low_3 + high_3)[:2] / 2,
        ],
        axis=-1,
    )
    bottom_YBSC = np.broadcast_to(
        seen.bottoms_B[:, None, None] - scale_YBS1 * low_3[2], (*scale_YBS1.shape[:3], len(_CORNERS[0]))
    )
    x, y = _CORNERS
    return scale_YBS1, np.stack([sides_YBS2O[..., 0, x], sides_YBS2O[..., 1, y], bottom_YBSC], axis=-1)


def _coarse_distance(
    asset: IndexedAsset, seen: Evidence, scale_YBS1: np.ndarray, shift_YBSC3: np.ndarray
) -> np.ndarray:
    """[Y, B, S, C] mean distance in metres from the visible points to the asset.

    Points outside of its canonical cube are clamped to it.
    """
    rotated_Y3P = (seen.coarse_P3 @ _YAW_MATRICES).transpose(0, 2, 1).astype(np.float32)
    per_metre_YBS11 = (_COARSE_GRID / scale_YBS1[..., None]).astype(np.float32)
    cell_YBSCP: np.ndarray | int = 0
    for axis in range(3):
        offset_YBSC1 = (_COARSE_GRID / 2 - shift_YBSC3[..., axis, None] * per_metre_YBS11).astype(np.float32)
        along = rotated_Y3P[:, None, None, None, axis] * per_metre_YBS11 + offset_YBSC1
        cell_YBSCP = cell_YBSCP * _COARSE_GRID + along.astype(np.int32).clip(0, _COARSE_GRID - 1)
    return asset.distance_G[cell_YBSCP].mean(axis=-1) * scale_YBS1


def _upright_similarity(source_P3: np.ndarray, target_P3: np.ndarray) -> Pose:
    """Least-squares yaw and translation, with Horn's symmetric scale (as in placement.py)."""
    source_mean, target_mean = source_P3.mean(axis=0), target_P3.mean(axis=0)
    source, target = source_P3 - source_mean, target_P3 - target_mean
    along = float((source[:, :2] * target[:, :2]).sum())
    across = float((source[:, 0] * target[:, 1] - source[:, 1] * target[:, 0]).sum())
    yaw_rad = float(np.arctan2(across, along))
    scale = float(np.sqrt(max((target**2).sum(), 1e-12) / max((source**2).sum(), 1e-12)))
    return Pose(np.inf, yaw_rad, scale, target_mean - scale * _rotation_z(yaw_rad) @ source_mean)


def _rotation_z(yaw_rad: float) -> np.ndarray:
    """(3, 3) rotation about z."""
    cos, sin = np.cos(yaw_rad), np.sin(yaw_rad)
    return np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])


_YAW_RADS = np.arange(_YAWS) * (2 * np.pi / _YAWS)
_YAW_MATRICES = np.stack([_rotation_z(yaw) for yaw in _YAW_RADS])
