"""Submanifold 3-D convolution behind one small interface, with a reference in plain PyTorch.

Shapes: N voxels, I input channels, O output channels, weight [O, 3, 3, 3, I] (z fastest).
"""

from __future__ import annotations

import importlib.util
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from models.execution import ConvBackend
from models.sparse.neighbours import CENTRE, NeighbourMap, neighbour_map
from models.sparse.voxels import SparseTensor, VoxelSet


class SubmanifoldConv(Protocol):
    """A backend: out(p) = bias + sum_k W[:, k] in(p + k - 1) over the occupied voxels."""

    def __call__(self, feats_NI: Tensor, weight: Tensor, bias_O: Tensor, voxels: VoxelSet) -> Tensor: ...


class SparseConv3d(nn.Module):
    """Submanifold convolution with the released weight layout, keys `conv.weight` and `conv.bias`."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, backend: ConvBackend = "auto") -> None:
        super().__init__()
        if kernel_size not in (1, 3):
            raise ValueError(f"submanifold convolution is built for kernels of 1 and 3, not {kernel_size}")
        require_backend(backend)
        self.backend = backend
        self.conv = _ConvParameters(in_channels, out_channels, kernel_size)

    def forward(self, x: SparseTensor) -> SparseTensor:
        weight, bias, feats = self.conv.weight, self.conv.bias, x.feats
        device = feats.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else feats.dtype
        run = select_backend(self.backend, feats.device) if weight.shape[1] == 3 else pointwise_conv
        with torch.autocast(device, enabled=False):
            return x.replace(run(feats.to(dtype), weight.to(dtype), bias.to(dtype), x.voxels))


class _ConvParameters(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, *(kernel_size,) * 3, in_channels))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        bound = (in_channels * kernel_size**3) ** -0.5
        nn.init.uniform_(self.weight, -bound, bound)


def require_backend(backend: ConvBackend) -> None:
    """Raise if the backend was asked for by name and cannot be imported."""
    if backend not in ("auto", "reference", "spconv"):
        raise ValueError(f"unknown sparse convolution backend {backend!r}; choose auto, reference or spconv")
    if backend == "spconv" and importlib.util.find_spec("spconv") is None:
        raise ModuleNotFoundError(
            "sparse convolution backend 'spconv' is not installed; install the spconv wheel for your CUDA version "
            "(for example `pip install spconv-cu120`), or choose sparse_conv='reference'"
        )


def select_backend(backend: ConvBackend, device: torch.device) -> SubmanifoldConv:
    """The backend's function; "auto" is spconv for CUDA tensors and the reference elsewhere."""
    name = backend if backend != "auto" else ("spconv" if device.type == "cuda" else "reference")
    if name == "reference":
        return reference_conv
    require_backend("spconv")
    from models.sparse.spconv_backend import spconv_conv

    return spconv_conv


def pointwise_conv(feats_NI: Tensor, weight: Tensor, bias_O: Tensor, voxels: VoxelSet) -> Tensor:
    """1x1x1 convolution as spconv computes it: the stored [O, 1, 1, 1, I] memory is read as an [I, O] matrix.

    A reshape where a transpose was meant; the released mesh decoder was trained with it. It involves no neighbours,
    so it is the same for every backend.
    """
    O, I = weight.shape[0], weight.shape[-1]  # noqa: E741
    return torch.addmm(bias_O, feats_NI, weight.reshape(I, O))


def reference_conv(feats_NI: Tensor, weight: Tensor, bias_O: Tensor, voxels: VoxelSet) -> Tensor:
    """Gather, multiply, scatter-add per kernel position, over the cached neighbour map.

    The sum is kept in float32 (or better). Every scatter writes each row at most once, so the result does not
    depend on the order of threads, on any device.
    """
    return _GatherMatmul.apply(feats_NI, weight, neighbour_map(voxels)) + bias_O


class _GatherMatmul(torch.autograd.Function):
    """Convolution without bias. Saves the input only: gathered rows are gathered again in the backward pass."""

    @staticmethod
    def forward(ctx: Any, feats_NI: Tensor, weight: Tensor, neighbours: NeighbourMap) -> Tensor:
        kernel_27IO = weight.flatten(1, 3).permute(1, 2, 0)
        ctx.save_for_backward(feats_NI, weight)
        ctx.neighbours = neighbours
        out_NO = (feats_NI @ kernel_27IO[CENTRE]).to(_accumulator(feats_NI))
        for k, rows, sources in neighbours.pairs:
            out_NO.index_add_(0, rows, (feats_NI.index_select(0, sources) @ kernel_27IO[k]).to(out_NO.dtype))
        return out_NO.to(feats_NI.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_NO: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        feats_NI, weight = ctx.saved_tensors
        kernel_27OI = weight.flatten(1, 3).transpose(0, 1)
        needs_feats, needs_weight = ctx.needs_input_grad[:2]
        grad_feats = (grad_NO @ kernel_27OI[CENTRE]).to(_accumulator(feats_NI)) if needs_feats else None
        grad_27OI = torch.empty_like(kernel_27OI, memory_format=torch.contiguous_format) if needs_weight else None
        if grad_27OI is not None:
            grad_27OI[CENTRE] = grad_NO.T @ feats_NI
        for k, rows, sources in ctx.neighbours.pairs:
            grad_rows = grad_NO.index_select(0, rows)
            if grad_feats is not None:
                grad_feats.index_add_(0, sources, (grad_rows @ kernel_27OI[k]).to(grad_feats.dtype))
            if grad_27OI is not None:
                grad_27OI[k] = grad_rows.T @ feats_NI.index_select(0, sources)
        return (
            None if grad_feats is None else grad_feats.to(feats_NI.dtype),
            None if grad_27OI is None else grad_27OI.transpose(0, 1).reshape(weight.shape),
            None,
        )


def _accumulator(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)
