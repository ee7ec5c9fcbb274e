"""Gaussians to be drawn, and their picture.

Shapes: G Gaussians, H W image.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from models.gaussian_decoder import Gaussians


@dataclass(frozen=True)
class Splats:
    """Gaussians with one colour each, in world units.

    xyz_G3: centres. scaling_G3: standard deviations along the Gaussian's own axes.
    rotation_G4: unit quaternions (w, x, y, z) from own axes to the world.
    opacity_G: in [0, 1]. colour_G3: RGB.
    kernel_px: variance of the screen-space filter in square pixels. Opacities are lowered so that a Gaussian smaller
        than a pixel keeps its weight (Mip-Splatting, Yu et al. 2024).
    """

    xyz_G3: Tensor
    scaling_G3: Tensor
    rotation_G4: Tensor
    opacity_G: Tensor
    colour_G3: Tensor
    kernel_px: float = 0.1

    @classmethod
    def of(cls, gaussians: Gaussians) -> Splats:
        """The output of the Gaussian decoder, in the object's cube [-0.5, 0.5]^3."""
        return cls(
            xyz_G3=gaussians.xyz_G3,
            scaling_G3=gaussians.scaling_G3,
            rotation_G4=gaussians.rotation_G4,
            opacity_G=gaussians.opacity_G1.squeeze(1),
            colour_G3=gaussians.colour_G3,
            kernel_px=gaussians.config.kernel_2d,
        )

    def __len__(self) -> int:
        return len(self.xyz_G3)


@dataclass(frozen=True)
class SplatRender:
    """colour_3HW over the background; alpha_HW; depth_HW, the mean planar depth by weight, NaN where alpha is 0."""

    colour_3HW: Tensor
    alpha_HW: Tensor
    depth_HW: Tensor
