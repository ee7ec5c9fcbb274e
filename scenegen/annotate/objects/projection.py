"""Image features at points of an asset: the mean over the views that see the point.

Shapes: N points, K views, H W their size, C channels, h w cells of a view's map, P = K h w cells of all maps,
M (point, view) pairs that count. Frame: the asset's canonical one; its longest side is 1.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor
from torch.nn import functional

from scenegen.annotate.objects.protocol import FeatureExtractor
from scenegen.contract.objects import GRID, ObjectView, VoxelFeatures
from scenegen.errors import AssetError

Visibility = Literal["seen", "all"]
VOXEL_EDGE = 1.0 / GRID
OCCLUSION_TOLERANCE = math.sqrt(3.0) / 2.0
"""In edges of a voxel: the surface in it may lie this far before its centre, half the voxel's diagonal."""
_POINTS_AT_ONCE = 4096


def voxel_centres(voxels_N3: np.ndarray) -> np.ndarray:
    """Indices of the 64^3 grid to (N, 3) float64 canonical points."""
    return (voxels_N3 + 0.5) / GRID - 0.5


@dataclass(frozen=True, slots=True)
class FeatureViews:
    """What an extractor sees of an asset, made once for all points that are asked for.

    cells_PC: the maps of all views, one row a cell. grid: (h, w). depth_KHW: NaN on nothing.
    K_K33: intrinsics in pixels of depth_KHW. T_cam_obj_K44: canonical object to camera.
    """

    asset_uid: str
    cells_PC: Tensor
    grid: tuple[int, int]
    depth_KHW: Tensor
    K_K33: Tensor
    T_cam_obj_K44: Tensor

    @classmethod
    def of(cls, extractor: FeatureExtractor, views: Sequence[ObjectView]) -> "FeatureViews":
        """views: of one asset and one size, rgba and depth read. Raises ValueError if they are not."""
        images = [(view.rgba, view.depth) for view in views if view.rgba is not None and view.depth is not None]
        if not views or len(images) < len(views) or len({(view.asset_uid, view.size_px) for view in views}) > 1:
            raise ValueError("feature views must be of one asset and one size, each with its colours and its depth")
        maps_KChw = extractor(np.stack([rgba for rgba, _ in images]))

        def on_device(arrays: Sequence[np.ndarray]) -> Tensor:
            return torch.from_numpy(np.stack(arrays).astype(np.float32)).to(maps_KChw.device)

        return cls(
            views[0].asset_uid,
            maps_KChw.permute(0, 2, 3, 1).flatten(0, 2).contiguous(),
            (maps_KChw.shape[2], maps_KChw.shape[3]),
            on_device([depth for _, depth in images]),
            on_device([view.K_px for view in views]),
            on_device([np.linalg.inv(view.T_obj_cam) for view in views]),
        )

    def at(
        self, points_N3: np.ndarray, edge: float = VOXEL_EDGE, visibility: Visibility = "seen"
    ) -> tuple[Tensor, np.ndarray]:
        """Mean features [N, C] float32 at centres of voxels of edge `edge`, and (N,) uint16 how many views see each.

        "seen": over the views in which nothing lies before the voxel. A voxel that no view sees takes the views of
        the nearest voxel that is seen. "all": over all views, occluded or not, zero outside of an image, as TRELLIS.

        Raises AssetError if no view sees any of the voxels.
        """
        uv_KN2, z_KN = self._projected(points_N3)
        if visibility == "all":
            counted_NK = torch.ones_like(z_KN, dtype=torch.bool).T
            return self._mean(uv_KN2, counted_NK, zero_outside=True), counted_NK.sum(dim=1).cpu().numpy().astype("u2")
        seen_NK = self._seen(uv_KN2, z_KN, edge).T.contiguous()
        views_N = seen_NK.sum(dim=1).cpu().numpy().astype(np.uint16)
        if not views_N.any():
            raise AssetError(self.asset_uid, "no feature view sees any of its voxels; render more views")
        unseen, shown = np.flatnonzero(views_N == 0), np.flatnonzero(views_N)
        if len(unseen):
            _, nearest = cKDTree(points_N3[shown]).query(points_N3[unseen])
            seen_NK[unseen] = seen_NK[shown[nearest]]
        return self._mean(uv_KN2, seen_NK, zero_outside=False), views_N

    def _projected(self, points_N3: np.ndarray) -> tuple[Tensor, Tensor]:
        """Places in the images [K, N, 2], in pixels, and planar depths [K, N]."""
        points = torch.from_numpy(points_N3.astype(np.float32)).to(self.depth_KHW.device)
        T_K44 = self.T_cam_obj_K44
        camera_KN3 = points @ T_K44[:, :3, :3].mT + T_K44[:, None, :3, 3]
        image_KN3 = camera_KN3 @ self.K_K33.mT
        return image_KN3[..., :2] / image_KN3[..., 2:], camera_KN3[..., 2]

    def _seen(self, uv_KN2: Tensor, z_KN: Tensor, edge: float) -> Tensor:
        """[K, N] bool: inside of the image, and no surface lies before the voxel."""
        H, W = self.depth_KHW.shape[1:]
        column_KN, row_KN = uv_KN2.floor().long().unbind(-1)
        inside_KN = (column_KN >= 0) & (column_KN < W) & (row_KN >= 0) & (row_KN < H) & (z_KN > 0)
        pixel_KN = row_KN.clamp(0, H - 1) * W + column_KN.clamp(0, W - 1)
        depth_KN = self.depth_KHW.flatten(1).gather(1, pixel_KN)
        occluded_KN = depth_KN < z_KN - OCCLUSION_TOLERANCE * edge  # NaN, nothing there, occludes nothing
        return inside_KN & ~occluded_KN

    def _mean(self, uv_KN2: Tensor, counted_NK: Tensor, zero_outside: bool) -> Tensor:
        """[N, C] mean of the bilinear samples in the views that count; every row of `counted_NK` has one.

        Each row is a weighted sum of a few rows of cells_PC, which is what an embedding bag computes, without any
        array of samples.
        """
        parts = []
        for start in range(0, len(counted_NK), _POINTS_AT_ONCE):
            counted = counted_NK[start : start + _POINTS_AT_ONCE]
            point_M, view_M = counted.nonzero(as_tuple=True)
            cell_M4, weight_M4 = self._corners(uv_KN2[view_M, start + point_M], view_M, zero_outside)
            views_N = counted.sum(dim=1)
            weight_M4 = weight_M4 / views_N[point_M, None]
            first_N = 4 * (views_N.cumsum(0) - views_N)
            parts.append(
                functional.embedding_bag(
                    cell_M4.flatten(), self.cells_PC, first_N, mode="sum", per_sample_weights=weight_M4.flatten()
                )
            )
        return torch.cat(parts)

    def _corners(self, uv_M2: Tensor, view_M: Tensor, zero_outside: bool) -> tuple[Tensor, Tensor]:
        """Rows of cells_PC of the four cells around each place, and their bilinear weights, [M, 4] each."""
        (h, w), (_, H, W) = self.grid, self.depth_KHW.shape
        place_M2 = uv_M2 * uv_M2.new_tensor([w / W, h / H]) - 0.5
        low_M2 = place_M2.floor()
        x_M, y_M = (place_M2 - low_M2).unbind(-1)
        corners = ((0, 0, (1 - x_M) * (1 - y_M)), (1, 0, x_M * (1 - y_M)), (0, 1, (1 - x_M) * y_M), (1, 1, x_M * y_M))
        cells, weights = [], []
        for right, down, weight_M in corners:
            column_M, row_M = low_M2[:, 0].long() + right, low_M2[:, 1].long() + down
            if zero_outside:
                weight_M = weight_M * ((column_M >= 0) & (column_M < w) & (row_M >= 0) & (row_M < h))
            cells.append((view_M * h + row_M.clamp(0, h - 1)) * w + column_M.clamp(0, w - 1))
            weights.append(weight_M)
        return torch.stack(cells, dim=1), torch.stack(weights, dim=1)


def voxel_features(views: FeatureViews, voxels_N3: np.ndarray, visibility: Visibility = "seen") -> VoxelFeatures:
    """The row of the features table for the voxels of the asset's geometry.

    Raises AssetError if no view sees any voxel, or a feature does not fit float16.
    """
    feats_NC, views_N = views.at(voxel_centres(voxels_N3), visibility=visibility)
    half_NC = feats_NC.cpu().numpy().astype(np.float16)
    if not np.isfinite(half_NC).all():
        raise AssetError(views.asset_uid, "its features are not finite in float16; check the extractor's weights")
    return VoxelFeatures(views.asset_uid, half_NC, views_N)
