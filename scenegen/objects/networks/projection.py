"""Projects image features onto the voxels of an asset: the mean over the views that see each voxel.

Shapes: N points, K views, H W their size, C channels, h w cells of a view's map, P = K h w cells of all maps,
M (point, view) pairs that count, S pixels that show the asset. Frame: the asset's canonical one; its longest side is 1.
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

from scenegen.contract.objects import GRID, ObjectView, VoxelFeatures
from scenegen.errors import AssetError
from scenegen.objects.networks.protocol import FeatureExtractor

Visibility = Literal["seen", "all"]
VOXEL_EDGE = 1.0 / GRID
HALF_DIAGONAL = math.sqrt(3.0) / 2.0
"""Of a voxel, in units of its edge: no surface inside it is farther from its centre."""
IDENTITY = np.eye(4)
_POINTS_AT_ONCE = 4096


def voxel_centres(voxels_N3: np.ndarray) -> np.ndarray:
    """Indices of the 64^3 grid to (N, 3) float64 canonical points."""
    return (voxels_N3 + 0.5) / GRID - 0.5


@dataclass(frozen=True, slots=True)
class FeatureViews:
    """An extractor's feature maps of all views of an asset, made once for all voxels that are asked for.

    cells_PC: the maps of all views, one row for each cell. grid: (h, w). depth_KHW: planar depth, NaN where nothing is.
    K_K33: intrinsics in pixels of depth_KHW. T_cam_obj_K44: canonical object to camera.
    surface_S3: the surface points that the depths show, canonical frame. view_S: which view shows each of them.
    """

    asset_uid: str
    cells_PC: Tensor
    grid: tuple[int, int]
    depth_KHW: Tensor
    K_K33: Tensor
    T_cam_obj_K44: Tensor
    surface_S3: Tensor
    view_S: Tensor

    @classmethod
    def of(cls, extractor: FeatureExtractor, views: Sequence[ObjectView]) -> "FeatureViews":
        """Run the extractor. views: of one asset and one size, with rgba and depth; raises ValueError otherwise."""
        images = [(view.rgba, view.depth) for view in views if view.rgba is not None and view.depth is not None]
        if not views or len(images) < len(views) or len({(view.asset_uid, view.size_px) for view in views}) > 1:
            raise ValueError("feature views must be of one asset and one size, each with its colours and its depth")
        maps_KChw = extractor(np.stack([rgba for rgba, _ in images]))

        def on_device(arrays: Sequence[np.ndarray]) -> Tensor:
            return torch.from_numpy(np.stack(arrays).astype(np.float32)).to(maps_KChw.device)

        depth_KHW, K_K33 = on_device([depth for _, depth in images]), on_device([view.K_px for view in views])
        surface_S3, view_S = _shown(depth_KHW, K_K33, on_device([view.T_obj_cam for view in views]))
        return cls(
            views[0].asset_uid,
            maps_KChw.permute(0, 2, 3, 1).flatten(0, 2).contiguous(),
            (maps_KChw.shape[2], maps_KChw.shape[3]),
            depth_KHW,
            K_K33,
            on_device([np.linalg.inv(view.T_obj_cam) for view in views]),
            surface_S3,
            view_S,
        )

    def at(
        self, voxels_N3: np.ndarray, T_rot_obj: np.ndarray = IDENTITY, visibility: Visibility = "seen"
    ) -> tuple[Tensor, np.ndarray]:
        """Mean features [N, C] float32 at the centres of voxels, and the number of views in each mean, (N,) uint16.

        voxels_N3: (N, 3) indices in the grid of the asset rotated by T_rot_obj, (4, 4) with a uniform scale.
        visibility: "seen" averages over the views that see the voxel: one of their pixels shows a surface inside it, or
        the pixel at its centre shows one within half its diagonal in depth. A voxel that no view sees takes the views
        of the nearest voxel that is seen, and its count is 0. "all" averages over all views, also through other parts,
        with zero outside an image, as TRELLIS does.

        Raises AssetError if no view sees any of the voxels.
        """
        rotated_N3 = voxel_centres(voxels_N3)
        centres_N3 = (rotated_N3 - T_rot_obj[:3, 3]) @ np.linalg.inv(T_rot_obj[:3, :3]).T
        uv_KN2, z_KN = self._projected(centres_N3)
        if visibility == "all":
            counted_NK = torch.ones_like(z_KN, dtype=torch.bool).T
            return self._mean(uv_KN2, counted_NK, zero_outside=True), _counts(counted_NK)
        edge = VOXEL_EDGE / np.cbrt(np.linalg.det(T_rot_obj[:3, :3]))
        seen_NK = self._shown_at_centre(uv_KN2, z_KN, edge).T | self._shown_in(voxels_N3, T_rot_obj)
        views_N = _counts(seen_NK)
        if not views_N.any():
            raise AssetError(self.asset_uid, "no feature view sees any of its voxels; render more views")
        unseen, shown = np.flatnonzero(views_N == 0), np.flatnonzero(views_N)
        if len(unseen):
            _, nearest = cKDTree(rotated_N3[shown]).query(rotated_N3[unseen])
            seen_NK[unseen] = seen_NK[shown[nearest]]
        return self._mean(uv_KN2, seen_NK, zero_outside=False), views_N

    def _projected(self, points_N3: np.ndarray) -> tuple[Tensor, Tensor]:
        """Image coordinates [K, N, 2] in pixels, and planar depths [K, N]."""
        T_K44 = self.T_cam_obj_K44
        camera_KN3 = self._tensor(points_N3) @ T_K44[:, :3, :3].mT + T_K44[:, None, :3, 3]
        image_KN3 = camera_KN3 @ self.K_K33.mT
        return image_KN3[..., :2] / image_KN3[..., 2:], camera_KN3[..., 2]

    def _shown_at_centre(self, uv_KN2: Tensor, z_KN: Tensor, edge: float) -> Tensor:
        """[K, N] bool: the pixel at the voxel's centre shows a surface within half the voxel's diagonal in depth."""
        H, W = self.depth_KHW.shape[1:]
        column_KN, row_KN = uv_KN2.floor().long().unbind(-1)
        inside_KN = (column_KN >= 0) & (column_KN < W) & (row_KN >= 0) & (row_KN < H)
        pixel_KN = row_KN.clamp(0, H - 1) * W + column_KN.clamp(0, W - 1)
        depth_KN = self.depth_KHW.flatten(1).gather(1, pixel_KN)
        return inside_KN & ((depth_KN - z_KN).abs() <= HALF_DIAGONAL * edge)  # never where the depth is NaN

    def _shown_in(self, voxels_N3: np.ndarray, T_rot_obj: np.ndarray) -> Tensor:
        """[N, K] bool: some pixel shows a surface inside the voxel."""
        T = self._tensor(T_rot_obj)
        cell_S3 = ((self.surface_S3 @ T[:3, :3].T + T[:3, 3] + 0.5) * GRID).long().clamp_(0, GRID - 1)
        cell_S = (cell_S3[:, 0] * GRID + cell_S3[:, 1]) * GRID + cell_S3[:, 2]
        row_of_cell = torch.full((GRID**3,), -1, device=cell_S.device)
        cell_N = voxels_N3.astype(np.int64) @ np.array([GRID * GRID, GRID, 1])
        row_of_cell[torch.from_numpy(cell_N).to(cell_S.device)] = torch.arange(len(cell_N), device=cell_S.device)
        row_S = row_of_cell[cell_S]  # -1: rounding put the point outside the voxels of the surface
        shown_NK = torch.zeros(len(cell_N), len(self.depth_KHW), dtype=torch.bool, device=cell_S.device)
        shown_NK[row_S[row_S >= 0], self.view_S[row_S >= 0]] = True
        return shown_NK

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array.astype(np.float32)).to(self.depth_KHW.device)

    def _mean(self, uv_KN2: Tensor, counted_NK: Tensor, zero_outside: bool) -> Tensor:
        """[N, C] mean of the bilinear samples in the views that count; every row of `counted_NK` counts one at least.

        Each result is a weighted sum of a few rows of cells_PC. That is what an embedding bag computes, and it needs no
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
        """Rows of cells_PC of the four cells around each image point, and their bilinear weights, [M, 4] each."""
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


def _shown(depth_KHW: Tensor, K_K33: Tensor, T_obj_cam_K44: Tensor) -> tuple[Tensor, Tensor]:
    """Canonical surface point and view of every pixel with a depth, [S, 3] and [S]."""
    points = []
    for depth_HW, K, T in zip(depth_KHW, K_K33, T_obj_cam_K44, strict=True):
        row, column = depth_HW.isfinite().nonzero(as_tuple=True)
        pixel = torch.stack([column + 0.5, row + 0.5, torch.ones_like(row)], dim=1)
        camera = depth_HW[row, column, None] * (pixel @ torch.linalg.inv(K).T)
        points.append(camera @ T[:3, :3].T + T[:3, 3])
    sizes = torch.tensor([len(point) for point in points], device=depth_KHW.device)
    views = torch.arange(len(points), device=depth_KHW.device)
    return torch.cat(points), views.repeat_interleave(sizes)


def _counts(counted_NK: Tensor) -> np.ndarray:
    return counted_NK.sum(dim=1).cpu().numpy().astype(np.uint16)


def voxel_features(views: FeatureViews, voxels_N3: np.ndarray, visibility: Visibility = "seen") -> VoxelFeatures:
    """The row of the features table for the voxels of the asset's geometry.

    Raises AssetError if no view sees any voxel, or if a feature is not finite in float16.
    """
    feats_NC, views_N = views.at(voxels_N3, visibility=visibility)
    half_NC = feats_NC.half().cpu().numpy()
    if not np.isfinite(half_NC).all():
        raise AssetError(views.asset_uid, "its features are not finite in float16; check the extractor's weights")
    return VoxelFeatures(views.asset_uid, half_NC, views_N)
