"""SLAT -> factorised radiance field (vectors along the axes of each voxel, as in Strivec).

Shapes: N voxels, n voxels of one item, R rank, D samples along an axis.
Source: TRELLIS. Only decoded here: its octree renderer is CUDA-only and nothing in 3D-Fixer needs it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from models.execution import DEFAULT_EXECUTION, Execution
from models.layers.norms import Linear32, layer_norm_32
from models.slat_vae import SLatTrunk, SLatTrunkConfig
from models.sparse.voxels import SparseTensor


@dataclass(frozen=True)
class RadianceDecoderConfig(SLatTrunkConfig):
    rank: int = 16
    dim: int = 8


@dataclass(frozen=True)
class RadianceField:
    """The field of one object: voxel centres in [0, 1]^3, octree level, and the factors of each voxel."""

    position_n3: Tensor
    depth_n1: Tensor
    trivec_nR3D: Tensor
    density_nR: Tensor
    features_nR13: Tensor


class RadianceFieldDecoder(SLatTrunk):
    """Latent [N, Z] -> one `RadianceField` per batch item."""

    config: RadianceDecoderConfig

    def __init__(self, config: RadianceDecoderConfig, execution: Execution = DEFAULT_EXECUTION) -> None:
        super().__init__(config, config.latent_channels, execution)
        self.widths = (config.rank * 3 * config.dim, config.rank, config.rank * 3)
        self.out_layer = Linear32(config.model_channels, sum(self.widths))
        self.initialise()

    def forward(self, x: SparseTensor) -> list[RadianceField]:
        return self.assemble(self.raw(x))

    def raw(self, x: SparseTensor) -> SparseTensor:
        """The network's output per voxel, [N, R 3 D + R + 3 R] float32."""
        h = self.trunk(x)
        return h.replace(self.out_layer(layer_norm_32(h.feats)))

    def assemble(self, raw: SparseTensor) -> list[RadianceField]:
        c = self.config
        fields = []
        for feats, coords in zip(
            raw.feats.split(raw.voxels.lengths), raw.coords.split(raw.voxels.lengths), strict=True
        ):
            trivec, density, features = feats.split(self.widths, dim=1)
            depth = torch.full((len(feats), 1), int(math.log2(c.resolution)), dtype=torch.uint8, device=feats.device)
            fields.append(
                RadianceField(
                    position_n3=(coords[:, 1:].float() + 0.5) / c.resolution,
                    depth_n1=depth,
                    trivec_nR3D=trivec.unflatten(1, (c.rank, 3, c.dim)) + 1,
                    density_nR=density,
                    features_nR13=features.unflatten(1, (c.rank, 1, 3)),
                )
            )
        return fields
