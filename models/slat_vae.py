"""The SLAT autoencoder's transformer trunk and its encoder.

Shapes: N voxels, C width, I input channels, Z latent channels.
Source: TRELLIS; sizes in models/README.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

from torch import Tensor, nn

from models.execution import DEFAULT_EXECUTION, Execution
from models.layers.blocks import TransformerBlock
from models.layers.embeddings import position_embedding
from models.layers.norms import Linear32, layer_norm_32
from models.layers.tokens import SparseTokens
from models.sparse.voxels import SparseTensor
from models.weights import initialise_transformer, zero_

_INPUT_GAIN = 5.0  # of a quick start


@dataclass(frozen=True)
class SLatTrunkConfig:
    """Sizes of the trunk. attn_mode "swin" shifts the windows of every second block by half their edge."""

    resolution: int
    model_channels: int
    latent_channels: int
    num_blocks: int
    num_heads: int | None = None
    num_head_channels: int = 64
    mlp_ratio: float = 4.0
    attn_mode: Literal["swin", "full"] = "swin"
    window_size: int | None = 8
    pe_mode: str = "ape"
    qk_rms_norm: bool = False

    def __post_init__(self) -> None:
        if self.pe_mode != "ape":
            raise ValueError(f"pe_mode={self.pe_mode!r} is not defined for this network; only 'ape' was ever released")
        if self.attn_mode not in ("swin", "full"):
            raise ValueError(f"attn_mode={self.attn_mode!r} is not built; every released network uses 'swin'")

    @property
    def heads(self) -> int:
        return self.num_heads or self.model_channels // self.num_head_channels


@dataclass(frozen=True)
class SLatEncoderConfig(SLatTrunkConfig):
    """in_channels: image features per voxel (1024 officially)."""

    in_channels: int = 1024


class SLatTrunk(nn.Module):
    """Input linear, position embedding and (windowed) transformer blocks on sparse voxels.

    out_layer: the head, which each network adds by itself.
    """

    ragged = True
    out_layer: Linear32

    def __init__(self, config: SLatTrunkConfig, in_channels: int, execution: Execution) -> None:
        super().__init__()
        c = config
        self.config = c
        self.execution = execution
        self.input_layer = Linear32(in_channels, c.model_channels)
        self.blocks = nn.ModuleList(
            TransformerBlock(c.model_channels, c.heads, c.mlp_ratio, c.qk_rms_norm) for _ in range(c.num_blocks)
        )

    def trunk(self, x: SparseTensor) -> SparseTensor:
        feats = self.input_layer(x.feats) + position_embedding(x.coords[:, 1:], self.config.model_channels)
        for i, block in enumerate(self.blocks):
            feats = self.execution.run_block(block, feats, self.tokens(x, i))
        return x.replace(feats)

    def tokens(self, x: SparseTensor, block: int) -> SparseTokens:
        kernel, window = self.execution.attention, self.config.window_size
        if self.config.attn_mode == "full":
            return SparseTokens.full(x.voxels, kernel)
        assert window is not None, "windows need a size"
        return SparseTokens.windowed(x.voxels, window, window // 2 * (block % 2), kernel)

    def initialise(self) -> None:
        initialise_transformer(self)
        zero_(self.out_layer)

    def start_quickly(self) -> Self:
        """For short runs of some hundreds of steps: the input outweighs the position embedding, which is almost the
        same for every sample and would otherwise be all that the first steps learn from."""
        self.input_layer.weight.data.mul_(_INPUT_GAIN)
        return self


class SLatEncoder(SLatTrunk):
    """Image features per voxel [N, I] -> mean and log-variance of the latent, each [N, Z] float32."""

    def __init__(self, config: SLatEncoderConfig, execution: Execution = DEFAULT_EXECUTION) -> None:
        super().__init__(config, config.in_channels, execution)
        self.out_layer = Linear32(config.model_channels, 2 * config.latent_channels)
        self.initialise()

    def start_quickly(self) -> Self:
        """For short runs of some hundreds of steps: latents are a random projection of the features, unit deviation."""
        mean_weight = self.out_layer.weight.data[: self.config.latent_channels]
        nn.init.normal_(mean_weight, std=self.config.model_channels**-0.5)
        return self

    def forward(self, x: SparseTensor) -> tuple[Tensor, Tensor]:
        """The mean is the latent in use; `sample_posterior` draws from both."""
        return self.out_layer(layer_norm_32(self.trunk(x).feats)).chunk(2, dim=1)
