"""A stand-in for PyTorch's variable-length attention, whose kernels are CUDA's: the same operators on the CPU.

Compilers see the operators and not what is in them, so that what is compiled here is what is compiled for CUDA.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from models.sparse import segments


def use_varlen_on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks on voxels attend with the kernel "varlen" for the rest of a test."""
    _register()
    monkeypatch.setattr(segments, "resolve_kernel", lambda kernel, device, dtype: "varlen")


@cache
def _register() -> None:
    varlen = pytest.importorskip("torch.nn.attention.varlen", reason="this release of PyTorch has no such kernel")
    varlen._varlen_attn.register_kernel("cpu")(_forward)
    varlen._varlen_attn_backward.register_kernel("cpu")(_backward)


def _segments(starts: Tensor, *tensors: Tensor) -> list[tuple[Tensor, ...]]:
    """The rows of each segment, [H, rows, D] in float32."""
    parts = [x.float().transpose(0, 1).split(starts.diff().tolist(), dim=1) for x in tensors]
    return list(zip(*parts, strict=True))


def _forward(
    q: Tensor, k: Tensor, v: Tensor, starts: Tensor, key_starts: Tensor, *_: Any
) -> tuple[Tensor, Tensor, Tensor]:
    out = torch.empty_like(q)
    outs = out.split(starts.diff().tolist())
    for rows, (q_HMD,), (k_HMD, v_HMD) in zip(outs, _segments(starts, q), _segments(key_starts, k, v), strict=True):
        rows.copy_((_weights(q_HMD, k_HMD) @ v_HMD).transpose(0, 1))
    return out, q.new_zeros(q.shape[1], len(q), dtype=torch.float32), torch.zeros(2, dtype=torch.uint64)


def _backward(
    grad: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    _out: Tensor,
    _lse: Tensor,
    starts: Tensor,
    key_starts: Tensor,
    *_: Any,
) -> tuple[Tensor, ...]:
    parts: list[tuple[Tensor, ...]] = []
    for (g, q_), (k_, v_) in zip(_segments(starts, grad, q), _segments(key_starts, k, v), strict=True):
        weights = _weights(q_, k_)
        of_weights = g @ v_.mT
        of_scores = weights * (of_weights - (weights * of_weights).sum(-1, keepdim=True)) * q.shape[-1] ** -0.5
        parts.append((of_scores @ k_, of_scores.mT @ q_, weights.mT @ g))
    return tuple(torch.cat(one, dim=1).transpose(0, 1).to(q.dtype).contiguous() for one in zip(*parts, strict=True))


def _weights(q_HMD: Tensor, k_HMD: Tensor) -> Tensor:
    return torch.softmax(q_HMD @ k_HMD.mT * q_HMD.shape[-1] ** -0.5, dim=-1)
