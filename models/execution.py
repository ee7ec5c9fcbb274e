"""How a network computes (kernels, memory), as opposed to what it computes (its config)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

AttentionKernel = Literal["auto", "bucketed", "varlen"]
ConvBackend = Literal["auto", "reference", "spconv"]


@dataclass(frozen=True)
class Execution:
    """Choices that change speed and memory, never the result beyond rounding.

    attention: kernel for sequences of different lengths. "varlen" is PyTorch's variable-length flash kernel (CUDA,
        fp16/bf16), "bucketed" batches sequences of similar length through SDPA (any device and dtype), "auto" takes
        "varlen" exactly where it is defined.
    sparse_conv: "spconv", "reference" (plain PyTorch), or "auto": spconv for CUDA tensors, reference for CPU
        tensors. A backend that is asked for and missing is an error, never a silent replacement.
    checkpoint_blocks: recompute every transformer block in the backward pass instead of storing its activations.
    """

    attention: AttentionKernel = "auto"
    sparse_conv: ConvBackend = "auto"
    checkpoint_blocks: bool = False

    def run_block(self, block: Callable[..., torch.Tensor], *args: Any) -> torch.Tensor:
        """Call a block, under activation checkpointing if asked for and if there is a backward pass to come."""
        if self.checkpoint_blocks and torch.is_grad_enabled():
            return checkpoint(block, *args, use_reentrant=False)
        return block(*args)


DEFAULT_EXECUTION = Execution()


def compile_blocks(network: nn.Module, **options: Any) -> None:
    """`torch.compile` in place every block that runs through an `Execution`, one whole graph each.

    Those are the transformer blocks, also of parts of the network. The blocks of one transformer have one shape in
    common, so the compiler works once and not once per layer. State-dict keys do not change.
    """
    for part in network.modules():
        if isinstance(getattr(part, "execution", None), Execution):
            for block in part.blocks:
                block.compile(fullgraph=True, **options)
