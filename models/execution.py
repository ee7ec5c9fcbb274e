"""How a network computes (kernels, memory), as opposed to what it computes (its config)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib import import_module
from typing import Any, Literal

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts

AttentionKernel = Literal["auto", "bucketed", "varlen"]
ConvBackend = Literal["auto", "reference", "spconv"]
Recompute = Literal["nothing", "cheap", "blocks"]

# Graphs of one kind of block: for each way in which gradients pass it, each form of its context, one object or more.
# A completer in training makes 12; beyond the limit, 8 by PyTorch's default, a whole graph is an error.
_MOST_GRAPHS = 32


@dataclass(frozen=True)
class Execution:
    """Choices that change speed and memory, never the result beyond rounding.

    attention: kernel for sequences of different lengths. "varlen" is PyTorch's variable-length flash kernel (CUDA,
        fp16/bf16), "bucketed" batches sequences of similar length through SDPA (any device and dtype), "auto" takes
        "varlen" exactly where it is defined.
    sparse_conv: "spconv", "reference" (plain PyTorch), or "auto": spconv for CUDA tensors, reference for CPU
        tensors. A backend that is asked for and missing is an error, never a silent replacement.
    recompute: what the backward pass of a transformer block computes again instead of finding it stored: "nothing";
        "cheap", all but matrix products and attention (norms, activations, modulations); or whole "blocks".
    """

    attention: AttentionKernel = "auto"
    sparse_conv: ConvBackend = "auto"
    recompute: Recompute = "nothing"

    def run_block(self, block: Callable[..., torch.Tensor], *args: Any) -> torch.Tensor:
        """Call a block, recomputing as asked for if there is a backward pass to come."""
        if self.recompute == "nothing" or not torch.is_grad_enabled():
            return block(*args)
        stores: dict[str, Any] = {} if self.recompute == "blocks" else {"context_fn": _storing_products}
        # Nothing in a block is random, so no state of a generator has to be kept.
        return checkpoint(block, *args, use_reentrant=False, preserve_rng_state=False, **stores)


DEFAULT_EXECUTION = Execution()


def _storing_products() -> Any:
    """The contexts of a checkpoint that stores what matrix products and attention return, and nothing else."""
    return create_selective_checkpoint_contexts(_products())


@cache
def _products() -> list[Any]:
    """The operators of matrix products and attention in this release of PyTorch."""
    aten = torch.ops.aten
    names = ["mm", "addmm", "bmm", "_scaled_dot_product_flash_attention_for_cpu"]
    names += [f"_scaled_dot_product_{kernel}_attention" for kernel in ("flash", "efficient", "cudnn")]
    found = [getattr(aten, name).default for name in names if hasattr(aten, name)]
    try:
        import_module("torch.nn.attention.varlen")  # defines the operator
    except ImportError:  # an older release, which has no such kernel
        return found
    return [*found, torch.ops.torch_attn._varlen_attn.default]


def compile_blocks(network: nn.Module, *, ragged: bool = True, **options: Any) -> None:
    """`torch.compile` in place every block that runs through an `Execution`, one whole graph each.

    Those are the transformer blocks, also of parts of the network. The blocks of one transformer have one shape in
    common, so the compiler works once and not once per layer. State-dict keys do not change.

    ragged: also the blocks of networks with the attribute `ragged`, those on voxels: batches differ in objects and
        voxels. With the attention kernel "varlen" one graph serves all batches of two objects and more; "bucketed"
        would need a graph for each batch, so leave them out where that is used.
    """
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, _MOST_GRAPHS)
    parts: Iterator[Any] = network.modules()
    for part in parts:
        execution, varies = getattr(part, "execution", None), getattr(part, "ragged", False)
        if not isinstance(execution, Execution) or (varies and not ragged):
            continue
        cheap = execution.recompute == "cheap"
        for block in part.blocks:
            # What is cheap is recomputed inside of the graph, so that the compiler can plan for it.
            forward = partial(execution.run_block, block.forward) if cheap else block.forward
            graph = torch.compile(forward, fullgraph=True, **options)
            block.forward = partial(_of_any_length, graph) if varies else graph
        if cheap:
            part.execution = replace(execution, recompute="nothing")


def _of_any_length(graph: Callable[..., torch.Tensor], *args: Any) -> torch.Tensor:
    """Call a graph that is to be made for any length of its inputs' first dimensions.

    Left to find out by itself which sizes vary, the compiler makes each graph twice; told that all may, it takes four
    times as long.
    """
    for tensor in _tensors(args):
        torch._dynamo.maybe_mark_dynamic(tensor, 0)
    return graph(*args)


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    """The tensors among the arguments of a block."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, tuple):
        for each in value:
            yield from _tensors(each)
    elif hasattr(value, "tensors"):  # a token layout
        yield from _tensors(value.tensors())
