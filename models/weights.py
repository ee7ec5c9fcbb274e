"""Initial weights, or none at all; copies from a base network, and freezing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from models.compat import MENDED, ReferenceCompat
from models.layers.blocks import CrossBlock, SceneBlock
from models.layers.embeddings import TimestepEmbedder

Network = TypeVar("Network", bound=nn.Module)

_ALLOCATIONS = {torch.empty, torch.zeros, torch.ones}
_DRAWS = {nn.init.kaiming_uniform_, nn.init.normal_, nn.init.uniform_, Tensor.normal_, Tensor.uniform_}
_EMBEDDING_GAIN, _FIRST_ADDITIONS = 5.0, 0.5  # of a quick start


class WithoutStorage(TorchFunctionMode):
    """A context: networks that are built in it have only the shapes of their weights, for a file to fill.

    Unlike `torch.device("meta")` it lets constants be computed as ever, and draws nothing: for either of these, PyTorch
    would import its compiler and SymPy, which takes longer than all else in reading the packaged model.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        options = dict(kwargs or {})
        if func in _DRAWS:
            return args[0] if args else options["tensor"]
        if func in _ALLOCATIONS and options.get("device") is None:
            options["device"] = "meta"
        return func(*args, **options)


def zero_(module: nn.Module) -> None:
    """Set every parameter of a module to zero: it then adds nothing at the start, and learns from the first step."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)


def initialise_transformer(network: nn.Module) -> None:
    """TRELLIS' initialisation: Xavier-uniform linears, zero biases, N(0, 0.02) time embedders, zero modulations.

    The zero output head is left to the caller, since its name differs between networks.
    """
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
    for module in network.modules():
        if isinstance(module, TimestepEmbedder):
            for layer in _linears(module.mlp):
                nn.init.normal_(layer.weight, std=0.02)
        elif isinstance(module, CrossBlock) and not module.share_mod:
            zero_(module.adaLN_modulation[1])
        if isinstance(module, SceneBlock):
            zero_(module.ratio_modulation[1])


def _linears(part: nn.Module) -> list[nn.Linear]:
    """The linear layers of a part of a network, in order."""
    return [layer for layer in part.modules() if isinstance(layer, nn.Linear)]


def open_gates_(blocks: Iterable[nn.Module], embedder: TimestepEmbedder) -> None:
    """Open the gates of blocks that have their own modulation, for short runs of some hundreds of steps.

    TRELLIS initialises gates to zero and the time embedding to almost zero. AdamW moves a weight by about the learning
    rate a step, so that gates would take a thousand steps to open. What the blocks add at first is kept small.
    """
    for layer in _linears(embedder.mlp):
        layer.weight.data.mul_(_EMBEDDING_GAIN)
    for block in blocks:
        assert isinstance(block, CrossBlock)
        _, _, gate_a, _, _, gate_m = block.adaLN_modulation[1].bias.data.chunk(6)
        gate_a.fill_(1.0)
        gate_m.fill_(1.0)
        for layer in (block.self_attn.to_out, block.cross_attn.to_out, _linears(block.mlp)[-1]):
            layer.weight.data.mul_(_FIRST_ADDITIONS)


def grow_scene_block_(block: SceneBlock, base: CrossBlock, compat: ReferenceCompat) -> None:
    """Start a scene block as the base block it accompanies, with its two extra steps adding nothing.

    The second cross-attention is silenced by its output projection, the second self-attention by its gate alone:
    silencing both its gate and its projection, as released, leaves it without gradient for ever.
    """
    copy_(block.norm5, base.norm2)
    copy_(block.second_attn, base.self_attn)
    copy_(block.cross_attn_extra, base.cross_attn)
    for name in ("norm2", "self_attn", "cross_attn", "mlp", "adaLN_modulation"):
        copy_(getattr(block, name), getattr(base, name))
    zero_(block.ratio_modulation[1])
    zero_(block.cross_attn_extra.to_out)
    if compat.dead_second_attention:
        zero_(block.second_attn.to_out)


def grow_scene_blocks_(blocks: nn.ModuleList, base_blocks: nn.ModuleList, compat: ReferenceCompat) -> None:
    """Start a control branch's blocks as the first blocks of the base. Raises ValueError if the base has too few."""
    if len(blocks) > len(base_blocks):
        raise ValueError(f"{len(blocks)} control blocks need as many base blocks, the base has {len(base_blocks)}")
    for block, base_block in zip(blocks, base_blocks, strict=False):
        assert isinstance(block, SceneBlock) and isinstance(base_block, CrossBlock)
        grow_scene_block_(block, base_block, compat)


def copy_(target: nn.Module, source: nn.Module) -> None:
    """Copy all weights between two modules of the same layout."""
    target.load_state_dict(source.state_dict())


def freeze(network: Network, reference_compat: ReferenceCompat = MENDED) -> Network:
    """Put a network in eval mode and, unless the official behaviour is asked for, stop its gradients."""
    network.eval()
    if not reference_compat.frozen_networks_keep_gradients:
        network.requires_grad_(False)
    return network
