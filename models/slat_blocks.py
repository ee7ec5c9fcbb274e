"""Sparse residual block that brings SLAT features to the transformer's resolution and back.

Shapes: N voxels, B batch, I input channels, O output channels, E embedding channels.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from models.execution import ConvBackend
from models.layers.blocks import modulate
from models.layers.norms import LayerNorm32
from models.sparse.conv import SparseConv3d
from models.sparse.resample import downsample, upsample
from models.sparse.voxels import SparseTensor, VoxelSet
from models.weights import zero_


class SparseResBlock(nn.Module):
    """Resample, then conv1(SiLU(LN1 x)), modulated LN2, SiLU, conv2 (zero at the start), plus a skip connection."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        emb_channels: int,
        resample: Literal["none", "down", "up"] = "none",
        backend: ConvBackend = "auto",
    ) -> None:
        super().__init__()
        self.resample = resample
        self.norm1 = LayerNorm32(in_channels, affine=True)
        self.norm2 = LayerNorm32(out_channels, affine=False)
        self.conv1 = SparseConv3d(in_channels, out_channels, 3, backend)
        self.conv2 = SparseConv3d(out_channels, out_channels, 3, backend)
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(emb_channels, 2 * out_channels))
        same = in_channels == out_channels
        self.skip_connection = nn.Identity() if same else nn.Linear(in_channels, out_channels)
        zero_(self.conv2)

    def forward(self, x: SparseTensor, emb_BE: Tensor, fine: VoxelSet | None = None) -> SparseTensor:
        """`fine` are the voxels to return to; an upsampling block needs them."""
        if self.resample == "down":
            x = downsample(x)
        elif self.resample == "up":
            assert fine is not None, "an upsampling block needs the voxels to return to"
            x = upsample(x, fine)
        scale, shift = (x.voxels.spread(part) for part in self.emb_layers(emb_BE).chunk(2, dim=-1))
        h = self.conv1(x.replace(nn.functional.silu(self.norm1(x.feats))))
        h = h.replace(nn.functional.silu(modulate(self.norm2(h.feats), shift, scale)))
        return x.replace(self.conv2(h).feats + self.skip_connection(x.feats))
