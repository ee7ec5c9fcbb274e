"""What the image says about each voxel: its feature, and how much of the object is visible.

Shapes: N voxels, B batch items, F feature channels, H W feature map or mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from models.compat import MENDED, ReferenceCompat
from models.layers.norms import layer_norm_32
from pipelines.cameras import Projection


@dataclass(frozen=True)
class VoxelViews:
    """Where the voxels of a batch project to, item after item.

    projections: one per batch item. depth_maps: per item the observed planar depth [H, W] in the units of the
        projections' depth, NaN where unknown; None only with the official behaviour, which has no depth test.
    tolerance: how far behind the observed surface a voxel may lie and still count as that surface; about one and
        a half voxel edges.
    """

    projections: Sequence[Projection]
    depth_maps: Sequence[Tensor] | None = None
    tolerance: float = 0.0

    def unoccluded(self, reference_compat: ReferenceCompat) -> list[Tensor]:
        """Per item [n] float: 1 for voxels with nothing in front of them, 0 for the rest."""
        if reference_compat.visibility_without_depth_test:
            return [torch.ones_like(projection.depth_P) for projection in self.projections]
        if self.depth_maps is None:
            raise ValueError("the depth test needs depth_maps; without one, ask for the official behaviour by name")
        pairs = zip(self.projections, self.depth_maps, strict=True)
        return [_in_front(projection, depth_HW, self.tolerance) for projection, depth_HW in pairs]


def _in_front(projection: Projection, depth_HW: Tensor, tolerance: float) -> Tensor:
    observed = depth_HW.nan_to_num(nan=torch.inf)  # unknown depth hides nothing
    surface = sample_map(observed[None], projection.uv_P2, mode="nearest")[:, 0]
    return (projection.depth_P <= surface + tolerance).to(projection.depth_P.dtype)


def sample_map(map_FHW: Tensor, uv_P2: Tensor, mode: str = "bilinear") -> Tensor:
    """[P, F] values at uv in [-1, 1]; zero outside the map."""
    grid = uv_P2.to(map_FHW.dtype)[None, None]
    return F.grid_sample(map_FHW[None], grid, mode=mode, align_corners=False)[0, :, 0].T


def voxel_features(map_BFHW: Tensor, views: VoxelViews, reference_compat: ReferenceCompat = MENDED) -> Tensor:
    """[N, F]: the depth estimator's last map, normalised over its channels, at each voxel's projection.

    Voxels that project outside the image, or lie behind the observed surface, get zeros.
    """
    normed = layer_norm_32(map_BFHW.movedim(1, -1)).movedim(-1, 1)
    sampled = [sample_map(m, p.uv_P2) for m, p in zip(normed, views.projections, strict=True)]
    visible = views.unoccluded(reference_compat)
    return torch.cat([feats * seen[:, None].to(feats.dtype) for feats, seen in zip(sampled, visible, strict=True)])


def visibility_ratio(mask_BHW: Tensor, views: VoxelViews, reference_compat: ReferenceCompat = MENDED) -> Tensor:
    """[B]: the share of an object's voxels that are seen inside its mask."""
    ratios = []
    visible = views.unoccluded(reference_compat)
    for mask_HW, projection, seen in zip(mask_BHW, views.projections, visible, strict=True):
        inside = sample_map(mask_HW[None], projection.uv_P2)[:, 0]
        ratios.append((inside * seen.to(inside.dtype)).sum() / (len(inside) + 1e-6))
    return torch.stack(ratios)
