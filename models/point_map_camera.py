"""Camera and metric geometry from MoGe-2's point maps.

Shapes: B images, H W pixels. The focal length is relative to half the image diagonal.
Source: MoGe (Wang et al. 2024), whose point maps are affine-invariant up to a shift along z.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from models.moge import MogeOutput, view_plane_uv

SOLVER_SIZE = (64, 64)
MAX_ITERATIONS = 100
MASK_THRESHOLD = 0.5


@dataclass(frozen=True)
class FocalShift:
    """focal_B relative to half the diagonal, shift_B to be added to z."""

    focal_B: Tensor
    shift_B: Tensor


@dataclass(frozen=True)
class MetricGeometry:
    """In metres if there is a metric scale. Invalid pixels are inf in points and depth, 0 in normals.

    points_BHW3 in OpenCV camera axes, depth_BHW planar, K_norm_B33 normalised by width and height, mask_BHW bool.
    """

    points_BHW3: Tensor
    depth_BHW: Tensor
    K_norm_B33: Tensor
    mask_BHW: Tensor | None
    normal_BHW3: Tensor | None


def recover_focal_shift(
    points_BHW3: Tensor,
    mask_BHW: Tensor | None = None,
    focal_B: Tensor | None = None,
    solver_size: tuple[int, int] = SOLVER_SIZE,
) -> FocalShift:
    """The focal length and shift with which the points project to their own pixels, by least squares.

    Minimises |f xy / (z + shift) - uv| over the shift, with the best focal length for each shift in closed form
    (or the given one), on the points nearest to a `solver_size` grid. An image with fewer than two valid points gets
    focal 1 and shift 0.
    """
    H, W = points_BHW3.shape[1:3]
    uv_HW2 = view_plane_uv(W, H, W / H, points_BHW3.device)
    points = _subsample(points_BHW3.movedim(-1, 1), solver_size).double()
    uv = _subsample(uv_HW2.movedim(-1, 0)[None], solver_size).double()
    mask = torch.ones_like(points_BHW3[..., 0]) if mask_BHW is None else mask_BHW.float()
    weight = _subsample(mask[:, None], solver_size)[..., 0] > 0.5
    solvable = weight.sum(1) >= 2
    problem = _ShiftProblem(points[..., :2], points[..., 2], uv, weight.double(), focal_B)
    shift = problem.solve()
    focal = problem.focal(shift)
    return FocalShift(
        torch.where(solvable, focal, 1.0).to(points_BHW3.dtype),
        torch.where(solvable, shift, 0.0).to(points_BHW3.dtype),
    )


def _subsample(x_BCHW: Tensor, size: tuple[int, int]) -> Tensor:
    """Nearest pixels on a coarse grid, [B, h w, C]."""
    return F.interpolate(x_BCHW, size, mode="nearest").flatten(2).transpose(1, 2)


@dataclass(frozen=True)
class _ShiftProblem:
    """Least squares in one unknown per image; n points each. All float64."""

    xy_Bn2: Tensor
    z_Bn: Tensor
    uv_1n2: Tensor
    weight_Bn: Tensor
    known_focal_B: Tensor | None

    def rays(self, shift_B: Tensor) -> Tensor:
        return self.xy_Bn2 / (self.z_Bn + shift_B[:, None])[..., None]

    def _dot(self, a_Bn2: Tensor, b_Bn2: Tensor) -> Tensor:
        product = (a_Bn2 * b_Bn2).sum(-1)
        return torch.where(self.weight_Bn > 0, product, 0.0).sum(1)

    def focal(self, shift_B: Tensor) -> Tensor:
        """The best focal length for a shift."""
        if self.known_focal_B is not None:
            return self.known_focal_B.double()
        q = self.rays(shift_B)
        return self._dot(q, self.uv_1n2) / self._dot(q, q)

    def cost(self, shift_B: Tensor) -> Tensor:
        residual = self.focal(shift_B)[:, None, None] * self.rays(shift_B) - self.uv_1n2
        return self._dot(residual, residual)

    def gradient_and_curvature(self, shift_B: Tensor) -> tuple[Tensor, Tensor]:
        """J.r and J.J of the residual r(shift), the focal length following the shift."""
        q = self.rays(shift_B)
        dq = -q / (self.z_Bn + shift_B[:, None])[..., None]
        f = self.focal(shift_B)
        if self.known_focal_B is None:
            qq, qu = self._dot(q, q), self._dot(q, self.uv_1n2)
            df = (self._dot(dq, self.uv_1n2) * qq - 2 * qu * self._dot(q, dq)) / qq.square()
        else:
            df = torch.zeros_like(f)
        residual = f[:, None, None] * q - self.uv_1n2
        jacobian = df[:, None, None] * q + f[:, None, None] * dq
        return self._dot(jacobian, residual), self._dot(jacobian, jacobian)

    def solve(self) -> Tensor:
        """Levenberg-Marquardt from shift 0, all images at once, until no image improves."""
        shift = torch.zeros_like(self.z_Bn[:, 0])
        cost = self.cost(shift)
        damping = torch.full_like(shift, 1e-3)
        for _ in range(MAX_ITERATIONS):
            gradient, curvature = self.gradient_and_curvature(shift)
            step = -gradient / (curvature * (1 + damping)).clamp(min=1e-30)
            new_cost = self.cost(shift + step)
            better = new_cost < cost
            improvement = torch.where(better, (cost - new_cost) / cost.clamp(min=1e-30), 0.0)
            shift = torch.where(better, shift + step, shift)
            cost = torch.where(better, new_cost, cost)
            damping = torch.where(better, damping * 0.1, damping * 10).clamp(1e-12, 1e12)
            settled = (better & (improvement < 1e-10)) | (step.abs() < 1e-9 * (1 + shift.abs()))
            if bool(settled.all()):
                break
        return shift


def metric_geometry(
    output: MogeOutput, fov_x_rad: float | None = None, apply_mask: bool = True, force_projection: bool = True
) -> MetricGeometry:
    """Points, depth and intrinsics of the estimator's raw output.

    fov_x_rad: a known horizontal field of view; otherwise it is recovered.
    force_projection: put every point on the ray of its pixel, keeping its depth.
    Raises ValueError if the estimator has no head for points.
    """
    if output.points_BHW3 is None:
        raise ValueError("a network without a head for points has no geometry")
    points = output.points_BHW3.float()
    _, H, W, _ = points.shape
    aspect = W / H
    mask = None if output.mask_BHW is None else output.mask_BHW > MASK_THRESHOLD
    known = None
    if fov_x_rad is not None:
        focal = aspect / math.sqrt(1 + aspect**2) / math.tan(fov_x_rad / 2)
        known = points.new_full((len(points),), focal)
    solved = recover_focal_shift(points, mask, known)
    K_norm = _intrinsics(solved.focal_B, aspect)
    depth = points[..., 2] + solved.shift_B[:, None, None]
    if mask is not None:
        mask = mask & (depth > 0)
    points = _unproject(depth, K_norm) if force_projection else torch.cat([points[..., :2], depth[..., None]], dim=-1)
    if output.metric_scale_B is not None:
        points = points * output.metric_scale_B[:, None, None, None]
        depth = depth * output.metric_scale_B[:, None, None]
    normal = output.normal_BHW3
    if apply_mask and mask is not None:
        points = torch.where(mask[..., None], points, torch.inf)
        depth = torch.where(mask, depth, torch.inf)
        normal = None if normal is None else torch.where(mask[..., None], normal, 0.0)
    return MetricGeometry(points, depth, K_norm, mask, normal)


def _intrinsics(focal_B: Tensor, aspect: float) -> Tensor:
    """[B, 3, 3] with the principal point in the middle."""
    diagonal = math.sqrt(1 + aspect**2)
    K = torch.zeros(len(focal_B), 3, 3, dtype=focal_B.dtype, device=focal_B.device)
    K[:, 0, 0] = focal_B / 2 * diagonal / aspect
    K[:, 1, 1] = focal_B / 2 * diagonal
    K[:, :2, 2] = 0.5
    K[:, 2, 2] = 1
    return K


def _unproject(depth_BHW: Tensor, K_norm_B33: Tensor) -> Tensor:
    """Points on the rays of the pixel centres, [B, H, W, 3]."""
    _, H, W = depth_BHW.shape
    u = (torch.arange(W, device=depth_BHW.device) + 0.5) / W
    v = (torch.arange(H, device=depth_BHW.device) + 0.5) / H
    fx, fy = K_norm_B33[:, 0, 0, None, None], K_norm_B33[:, 1, 1, None, None]
    x = (u[None, None, :] - 0.5) / fx * depth_BHW
    y = (v[None, :, None] - 0.5) / fy * depth_BHW
    return torch.stack([x, y, depth_BHW], dim=-1)
