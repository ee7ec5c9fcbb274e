"""SLAT -> FlexiCubes fields on a finer grid (officially four times) -> mesh.

Shapes: N latent voxels, Q fine cubes (officially 64 N), C width.
Source: TRELLIS; sizes in models/README.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from torch import nn

from models.execution import DEFAULT_EXECUTION, ConvBackend, Execution
from models.flexicubes.extraction import Mesh, cube_channels, extract_mesh
from models.layers.norms import Linear32
from models.slat_vae import SLatTrunk, SLatTrunkConfig
from models.sparse.conv import SparseConv3d
from models.sparse.norm import SparseGroupNorm32
from models.sparse.resample import subdivide
from models.sparse.voxels import SparseTensor
from models.weights import zero_

NORM_GROUPS = 32


@dataclass(frozen=True)
class MeshDecoderConfig(SLatTrunkConfig):
    """num_upsamples: how often voxels are halved before the mesh is extracted; released decoders do it twice."""

    use_color: bool = False
    num_upsamples: int = 2

    @property
    def mesh_resolution(self) -> int:
        """Edge of the grid that the mesh is extracted from."""
        return self.resolution << self.num_upsamples


class SubdivideBlock(nn.Module):
    """GroupNorm, SiLU, every voxel -> 8, conv, GroupNorm, SiLU, conv (zero at the start), plus a 1x1x1 skip.

    Norms have 32 groups; where there are fewer channels, which no released network has, each is a group.
    """

    def __init__(self, in_channels: int, out_channels: int, backend: ConvBackend) -> None:
        super().__init__()
        self.act_layers = nn.ModuleList([SparseGroupNorm32(min(NORM_GROUPS, in_channels), in_channels)])
        self.out_layers = nn.ModuleDict(
            {
                "0": SparseConv3d(in_channels, out_channels, 3, backend),
                "1": SparseGroupNorm32(min(NORM_GROUPS, out_channels), out_channels),
                "3": SparseConv3d(out_channels, out_channels, 3, backend),
            }
        )
        same = in_channels == out_channels
        self.skip_connection = nn.Identity() if same else SparseConv3d(in_channels, out_channels, 1, backend)
        zero_(self.out_layers["3"])

    def forward(self, x: SparseTensor) -> SparseTensor:
        h = subdivide(_silu(self.act_layers[0](x)))
        h = _silu(self.out_layers["1"](self.out_layers["0"](h)))
        return h.replace(self.out_layers["3"](h).feats + subdivide(self.skip_connection(x)).feats)


def _silu(x: SparseTensor) -> SparseTensor:
    return x.replace(nn.functional.silu(x.feats))


class MeshDecoder(SLatTrunk):
    """Latent [N, Z] -> one `Mesh` per batch item, in the object's cube [-0.5, 0.5]^3."""

    config: MeshDecoderConfig

    def __init__(self, config: MeshDecoderConfig, execution: Execution = DEFAULT_EXECUTION) -> None:
        super().__init__(config, config.latent_channels, execution)
        widths = config.model_channels, *(config.model_channels >> (i + 2) for i in range(config.num_upsamples))
        self.upsample = nn.ModuleList(SubdivideBlock(*pair, execution.sparse_conv) for pair in pairwise(widths))
        self.out_layer = Linear32(widths[-1], cube_channels(config.use_color))
        self.initialise()

    def forward(self, x: SparseTensor) -> list[Mesh]:
        return self.extract(self.raw(x))

    def raw(self, x: SparseTensor) -> SparseTensor:
        """FlexiCubes fields per fine cube, [Q, 53 or 101] float32 (no layer norm before the head)."""
        h = self.trunk(x)
        for block in self.upsample:
            h = block(h)
        return h.replace(self.out_layer(h.feats))

    def extract(self, raw: SparseTensor, training: bool | None = None) -> list[Mesh]:
        """training: give the meshes what losses need; None does so in training mode."""
        training = self.training if training is None else training
        resolution = self.config.mesh_resolution
        coords = raw.coords.split(raw.voxels.lengths)
        feats = raw.feats.split(raw.voxels.lengths)
        return [
            extract_mesh(f, c[:, 1:], resolution, self.config.use_color, training)
            for f, c in zip(feats, coords, strict=True)
        ]
