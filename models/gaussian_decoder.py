"""SLAT -> 3-D Gaussians.

Shapes: N voxels, K Gaussians per voxel, G = (voxels of one item) K Gaussians.
Source: TRELLIS; sizes in models/README.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from models.execution import DEFAULT_EXECUTION, Execution
from models.layers.norms import Linear32, layer_norm_32
from models.slat_vae import SLatTrunk, SLatTrunkConfig
from models.sparse.voxels import SparseTensor

# Released order of the output channels: name, values per Gaussian.
LAYOUT = (("_xyz", 3), ("_features_dc", 3), ("_scaling", 3), ("_rotation", 4), ("_opacity", 1))


@dataclass(frozen=True)
class GaussianConfig:
    """How raw network outputs become Gaussians.

    lr: factor on each raw output (by its name in `LAYOUT`); 1 where not given.
    voxel_size: how far a Gaussian may leave its voxel's centre, in voxel edges (times one half).
    perturb_offset: spread the Gaussians of a voxel over it from the start.
    kernel_2d, kernel_3d: screen-space filter of the rasteriser (pixels) and smallest scale (scene units).
    """

    num_gaussians: int = 32
    voxel_size: float = 1.5
    perturb_offset: bool = True
    kernel_2d: float = 0.1
    kernel_3d: float = 9e-4
    scaling_bias: float = 4e-3
    opacity_bias: float = 0.1
    scaling_activation: Literal["softplus", "exp"] = "softplus"
    lr: dict[str, float] = field(default_factory=dict)

    @property
    def out_channels(self) -> int:
        return self.num_gaussians * sum(width for _, width in LAYOUT)


@dataclass(frozen=True)
class GaussianDecoderConfig(SLatTrunkConfig):
    representation: GaussianConfig = field(default_factory=GaussianConfig)


@dataclass(frozen=True)
class Gaussians:
    """The Gaussians of one object: raw parameters (in the cube [0, 1]^3) and their activations.

    raw_xyz_G3, raw_features_G13, raw_scaling_G3, raw_rotation_G4, raw_opacity_G1: what an optimiser would hold.
    """

    raw_xyz_G3: Tensor
    raw_features_G13: Tensor
    raw_scaling_G3: Tensor
    raw_rotation_G4: Tensor
    raw_opacity_G1: Tensor
    config: GaussianConfig

    @property
    def xyz_G3(self) -> Tensor:
        """Centres in the object's cube [-0.5, 0.5]^3."""
        return self.raw_xyz_G3 - 0.5

    @property
    def scaling_G3(self) -> Tensor:
        """Standard deviations along the axes, never below `kernel_3d`."""
        bias = torch.tensor(self.config.scaling_bias, device=self.raw_scaling_G3.device)
        if self.config.scaling_activation == "softplus":
            scale = F.softplus(self.raw_scaling_G3 + (bias + torch.log(-torch.expm1(-bias))))
        else:
            scale = (self.raw_scaling_G3 + bias.log()).exp()
        return (scale.square() + self.config.kernel_3d**2).sqrt()

    @property
    def opacity_G1(self) -> Tensor:
        bias = torch.tensor(self.config.opacity_bias, device=self.raw_opacity_G1.device)
        return (self.raw_opacity_G1 + bias.logit()).sigmoid()

    @property
    def rotation_G4(self) -> Tensor:
        """Unit quaternions (w, x, y, z)."""
        identity = torch.tensor([1.0, 0.0, 0.0, 0.0], device=self.raw_rotation_G4.device)
        return F.normalize(self.raw_rotation_G4 + identity, dim=-1)

    @property
    def colour_G3(self) -> Tensor:
        """RGB, from the constant term of the spherical harmonics."""
        return self.raw_features_G13[:, 0] * 0.28209479177387814 + 0.5

    @property
    def covariance_G6(self) -> Tensor:
        """(xx, xy, xz, yy, yz, zz) of R diag(scale)^2 R^T."""
        factor = rotation_matrix(self.rotation_G4) * self.scaling_G3[:, None, :]
        covariance = factor @ factor.mT
        row, column = torch.triu_indices(3, 3, device=covariance.device)
        return covariance[:, row, column]


class GaussianDecoder(SLatTrunk):
    """Latent [N, Z] -> K Gaussians per voxel, one `Gaussians` per batch item."""

    config: GaussianDecoderConfig

    def __init__(self, config: GaussianDecoderConfig, execution: Execution = DEFAULT_EXECUTION) -> None:
        super().__init__(config, config.latent_channels, execution)
        rep = config.representation
        self.out_layer = Linear32(config.model_channels, rep.out_channels)
        self.register_buffer("offset_perturbation", offset_perturbation(rep))  # stored even where it is not used
        self.initialise()

    def forward(self, x: SparseTensor) -> list[Gaussians]:
        return self.assemble(self.raw(x))

    def raw(self, x: SparseTensor) -> SparseTensor:
        """The network's output per voxel, [N, 14 K] float32, in the order of `LAYOUT`."""
        h = self.trunk(x)
        return h.replace(self.out_layer(layer_norm_32(h.feats)))

    def assemble(self, raw: SparseTensor) -> list[Gaussians]:
        rep, resolution = self.config.representation, self.config.resolution
        K = rep.num_gaussians
        widths = [K * width for _, width in LAYOUT]
        parts = {
            name: part.unflatten(1, (K, width)) * rep.lr.get(name, 1.0)
            for (name, width), part in zip(LAYOUT, raw.feats.split(widths, dim=1), strict=True)
        }
        centre_N13 = ((raw.coords[:, 1:].float() + 0.5) / resolution)[:, None]
        offset = parts["_xyz"] + self.offset_perturbation if rep.perturb_offset else parts["_xyz"]
        parts["_xyz"] = centre_N13 + offset.tanh() * (0.5 * rep.voxel_size / resolution)
        per_item = {name: part.split(raw.voxels.lengths) for name, part in parts.items()}
        return [
            Gaussians(
                raw_xyz_G3=per_item["_xyz"][b].flatten(0, 1),
                raw_features_G13=per_item["_features_dc"][b].flatten(0, 1).unsqueeze(1),
                raw_scaling_G3=per_item["_scaling"][b].flatten(0, 1),
                raw_rotation_G4=per_item["_rotation"][b].flatten(0, 1),
                raw_opacity_G1=per_item["_opacity"][b].flatten(0, 1),
                config=rep,
            )
            for b in range(raw.voxels.batch_size)
        ]


def offset_perturbation(config: GaussianConfig) -> Tensor:
    """[K, 3] raw offsets that spread K Gaussians over their voxel by Hammersley points."""
    K = config.num_gaussians
    points = [(i / K, radical_inverse(i, 2), radical_inverse(i, 3)) for i in range(K)]
    return torch.atanh((torch.tensor(points) * 2 - 1) / config.voxel_size)


def radical_inverse(n: int, base: int) -> float:
    """The digits of n in `base`, mirrored behind the point."""
    value, scale = 0.0, 1.0 / base
    while n:
        n, digit = divmod(n, base)
        value += digit * scale
        scale /= base
    return value


def rotation_matrix(quaternion_G4: Tensor) -> Tensor:
    """[G, 3, 3] from unit quaternions (w, x, y, z)."""
    w, x, y, z = quaternion_G4.unbind(-1)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)
