"""Gaussian splatting in plain PyTorch: elliptical weighted averages, composited from front to back.

The functions are in the order of the method: project, list the visible (Gaussian, pixel) pairs sorted by pixel and
depth, composite. Only the last step has gradients, and only for visible pairs, so that a picture of 64^2
pixels of some ten thousand Gaussians takes a fraction of a second on one core.

Shapes: G Gaussians, P pairs of a Gaussian and a pixel, H W image.
Sources: EWA splatting (Zwicker et al. 2001), 3-D Gaussian splatting (Kerbl et al. 2023), Mip-Splatting's
screen-space filter (Yu et al. 2024). Thresholds are those of gsplat, so that both backends draw the same picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from models.gaussian_decoder import rotation_matrix
from pipelines.rendering.pairs import Boxes, Pairs, pixel_pairs
from pipelines.rendering.splats import SplatRender, Splats
from pipelines.rendering.view import View, at_least_float32

MIN_ALPHA = 1 / 255
MAX_ALPHA = 0.999
MIN_TRANSMITTANCE = 1e-4  # Gaussians behind less than this are invisible
FRUSTUM_MARGIN = 0.3  # of the image: further outside, the projection is linearised at the margin


@dataclass(frozen=True)
class Projected:
    """Gaussians on the image plane: pixel position, inverse covariance (xx, xy, yy), opacity, depth, deviation."""

    xy_G2: Tensor
    conic_G3: Tensor
    opacity_G: Tensor
    depth_G: Tensor
    deviation_G2: Tensor

    @property
    def table_G6(self) -> Tensor:
        """All that a pixel needs of a Gaussian, in one row."""
        return torch.cat([self.xy_G2, self.conic_G3, self.opacity_G[:, None]], dim=1)

    def boxes(self, size_px: tuple[int, int], near: float) -> Boxes:
        """Pixels where alpha can reach `MIN_ALPHA`; none for Gaussians that are too faint or too near."""
        reach_G1 = (2 * (self.opacity_G / MIN_ALPHA).clamp(min=1).log()).sqrt()[:, None] * self.deviation_G2
        drawn_G1 = ((self.opacity_G >= MIN_ALPHA) & (self.depth_G > near))[:, None]
        high_G2 = (self.xy_G2 + reach_G1).where(drawn_G1, -1.0)
        return Boxes.of_pixel_centres((self.xy_G2 - reach_G1).where(drawn_G1, 0.0), high_G2, size_px)


def render_reference(splats: Splats, view: View, background_3: Tensor) -> SplatRender:
    """Draw Gaussians, with gradients to all of their values and the background.

    Forward and backward pass need some 300 bytes per visible pair.
    """
    width, height = view.size_px
    projected = project_splats(splats, view)
    with torch.no_grad():
        owner_P, pixel_P = visible_pairs(projected, view)
    values_G4 = torch.cat([at_least_float32(splats.colour_G3), projected.depth_G[:, None]], dim=1)
    weight_P, values_P4 = composite_weights(projected, values_G4, owner_P, pixel_P, width)
    summed_N5 = values_P4.new_zeros(height * width, 5).index_add(
        0, pixel_P, torch.cat([weight_P[:, None] * values_P4, weight_P[:, None]], dim=1)
    )
    image_5HW = summed_N5.T.reshape(5, height, width)
    alpha_HW = image_5HW[4]
    colour_3HW = image_5HW[:3] + (1 - alpha_HW) * background_3.to(image_5HW)[:, None, None]
    depth_HW = (image_5HW[3] / alpha_HW.clamp(min=1e-10)).where(alpha_HW > 0, torch.nan)
    return SplatRender(colour_3HW, alpha_HW, depth_HW)


def project_splats(splats: Splats, view: View) -> Projected:
    """Each Gaussian as a Gaussian on the image plane, by the projection linearised at its centre."""
    xyz_G3 = view.to_camera(at_least_float32(splats.xyz_G3))
    depth_G = xyz_G3[:, 2]
    safe_depth_G = depth_G.clamp(min=view.near)
    K = view.K_px.to(xyz_G3)
    slope_G2 = xyz_G3[:, :2] / safe_depth_G[:, None]
    focal_2, principal_2 = K.diagonal()[:2], K[:2, 2]
    size_2 = xyz_G3.new_tensor(view.size_px)
    margin_2 = FRUSTUM_MARGIN * size_2 / 2
    bounded_G2 = slope_G2.maximum((-principal_2 - margin_2) / focal_2).minimum(
        (size_2 - principal_2 + margin_2) / focal_2
    )
    jacobian_G23 = torch.cat(
        [torch.diag(focal_2).expand(len(xyz_G3), 2, 2), -(focal_2 * bounded_G2)[..., None]], dim=2
    ) / safe_depth_G.view(-1, 1, 1)
    world_to_cam = view.T_cam_world.to(xyz_G3)[:3, :3]
    factor_G33 = rotation_matrix(splats.rotation_G4.to(xyz_G3)) * splats.scaling_G3.to(xyz_G3)[:, None, :]
    factor_G23 = jacobian_G23 @ (world_to_cam @ factor_G33)
    xx, xy, yy = _gram(factor_G23)
    sharp_determinant = xx * yy - xy * xy
    xx, yy = xx + splats.kernel_px, yy + splats.kernel_px
    determinant = xx * yy - xy * xy
    kept = (sharp_determinant / determinant).clamp(min=1e-12).sqrt()  # the root's slope is infinite at 0
    return Projected(
        xy_G2=slope_G2 * focal_2 + principal_2,
        conic_G3=torch.stack([yy, -xy, xx], dim=1) / determinant[:, None],
        opacity_G=splats.opacity_G.to(kept) * kept,
        depth_G=depth_G,
        deviation_G2=torch.stack([xx, yy], dim=1).detach().sqrt(),
    )


def _gram(factor_G23: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """xx, xy, yy of factor factor^T."""
    x_G3, y_G3 = factor_G23.unbind(1)
    return (x_G3 * x_G3).sum(1), (x_G3 * y_G3).sum(1), (y_G3 * y_G3).sum(1)


def visible_pairs(projected: Projected, view: View) -> tuple[Tensor, Tensor]:
    """The visible pairs: number of the Gaussian and of the pixel, [P] int64 each, by pixel, then from front to back."""
    width, height = view.size_px
    nearest_first = projected.depth_G.argsort()
    ordered = Projected(*(getattr(projected, name)[nearest_first] for name in Projected.__dataclass_fields__))
    table_G6 = ordered.table_G6
    owners, pixels, alphas = [], [], []
    for pairs in pixel_pairs(ordered.boxes(view.size_px, view.near)):
        alpha = _alpha(table_G6, pairs)
        seen = alpha >= MIN_ALPHA
        owners.append(pairs.owner_P[seen])
        pixels.append((pairs.y_P[seen] * width + pairs.x_P[seen]).int())
        alphas.append(alpha[seen])
    if not owners:
        nothing = torch.zeros(0, dtype=torch.long, device=nearest_first.device)
        return nothing, nothing
    pixel, order = torch.cat(pixels).sort(stable=True)
    pixel = pixel.long()
    through = _transmittance(torch.cat(alphas)[order], pixel, height * width, inclusive=True)
    in_sight = through > MIN_TRANSMITTANCE
    return nearest_first[torch.cat(owners)[order[in_sight]]], pixel[in_sight]


def composite_weights(
    projected: Projected, values_G4: Tensor, owner_P: Tensor, pixel_P: Tensor, width: int
) -> tuple[Tensor, Tensor]:
    """[P] weight of each pair: its alpha times the transmittance of those in front of it. And its values [P, 4]."""
    pixels = int(pixel_P[-1]) + 1 if len(pixel_P) else 0
    alpha_P = _alpha(projected.table_G6, Pairs(owner_P, pixel_P % width, pixel_P // width))
    return alpha_P * _transmittance(alpha_P, pixel_P, pixels, inclusive=False), values_G4.index_select(0, owner_P)


def _alpha(table_G6: Tensor, pairs: Pairs) -> Tensor:
    """[P] opacity of each Gaussian at the centre of its pixel."""
    x, y, xx, xy, yy, opacity = table_G6.index_select(0, pairs.owner_P).unbind(1)
    dx, dy = x - (pairs.x_P + 0.5), y - (pairs.y_P + 0.5)
    return (opacity * (-0.5 * (xx * dx * dx + yy * dy * dy) - xy * dx * dy).exp()).clamp(max=MAX_ALPHA)


def _transmittance(alpha_P: Tensor, pixel_P: Tensor, pixels: int, inclusive: bool) -> Tensor:
    """[P] transmittance of all pairs of the same pixel in front of this one, and of this one too if `inclusive`.

    It is one cumulative sum of logarithms over all pixels, in float64, from which the sum before each pixel is
    subtracted.
    """
    log_P = torch.log1p(-alpha_P.double())
    passed_P = log_P.cumsum(0)
    before_P = passed_P - log_P
    count = torch.bincount(pixel_P, minlength=pixels)
    first = (count.cumsum(0) - count)[pixel_P]
    return ((passed_P if inclusive else before_P) - before_P[first]).exp().to(alpha_P.dtype)
