"""Variable-length sequences laid end to end, and attention inside each of them.

Shapes: N rows, S segments, H heads, D channels per head, B batch items, L context tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from models.execution import AttentionKernel

HALF_TYPES = (torch.float16, torch.bfloat16)
# Sequences are padded up to the next multiple of this many rows (or to 1/4 more than their length if that is
# coarser): few kernel launches, little waste. Measured in tests/benchmarks/models_attention.py.
PAD_ROWS = 16


@dataclass(frozen=True)
class Bucket:
    """Segments of similar length, padded to one length.

    rows_Sm: row of each padded slot (padding points at row 0 and is masked).
    valid_Sm: which slots are real; None if all are.
    """

    rows_Sm: Tensor
    valid_Sm: Tensor | None


class Segments:
    """A partition of N rows into segments; attention runs inside each segment.

    order_N: the rows segment by segment; None if they already lie so.
    lengths: rows per segment, as Python integers (one device synchronisation, when the partition is made).
    """

    def __init__(self, lengths: list[int], order_N: Tensor | None, device: torch.device) -> None:
        self.lengths = tuple(lengths)
        self.order_N = order_N
        self.device = device

    @cached_property
    def starts(self) -> Tensor:
        """[S + 1] int32 cumulative lengths."""
        lengths = torch.tensor((0, *self.lengths), dtype=torch.int32, device=self.device)
        return lengths.cumsum(0, dtype=torch.int32)

    @cached_property
    def inverse_N(self) -> Tensor | None:
        """Where each row lies in `order_N`."""
        if self.order_N is None:
            return None
        inverse = torch.empty_like(self.order_N)
        inverse[self.order_N] = torch.arange(len(self.order_N), device=self.device)
        return inverse

    @cached_property
    def buckets(self) -> list[Bucket]:
        """Segments grouped by padded length."""
        groups: dict[int, list[int]] = {}
        for segment, length in enumerate(self.lengths):
            if length:
                groups.setdefault(_padded_length(length), []).append(segment)
        return [self._bucket(members) for members in groups.values()]

    def _bucket(self, members: list[int]) -> Bucket:
        index_S = torch.tensor(members, device=self.device)
        start_S, end_S = self.starts[index_S].long(), self.starts[index_S + 1].long()
        longest = max(self.lengths[segment] for segment in members)
        rows_Sm = start_S[:, None] + torch.arange(longest, device=self.device)
        valid_Sm = rows_Sm < end_S[:, None]
        rows_Sm = torch.where(valid_Sm, rows_Sm, start_S[:, None])
        if self.order_N is not None:
            rows_Sm = self.order_N[rows_Sm]
        full = min(self.lengths[segment] for segment in members) == longest
        return Bucket(rows_Sm, None if full else valid_Sm)


def _padded_length(length: int) -> int:
    step = max(PAD_ROWS, 1 << (length.bit_length() - 3) if length >= 8 else 1)
    return -(-length // step) * step


def resolve_kernel(kernel: AttentionKernel, q: Tensor) -> AttentionKernel:
    """ "auto" becomes the kernel that is defined for this tensor; an impossible choice is an error."""
    possible = q.is_cuda and q.dtype in HALF_TYPES
    if kernel == "auto":
        return "varlen" if possible else "bucketed"
    if kernel == "varlen" and not possible:
        raise ValueError(
            f"attention='varlen' needs fp16 or bf16 tensors on CUDA, got {q.dtype} on {q.device}; "
            "run under torch.autocast on CUDA, or use attention='bucketed'"
        )
    return kernel


def segment_attention(
    q_NHD: Tensor, k_NHD: Tensor, v_NHD: Tensor, segments: Segments, kernel: AttentionKernel
) -> Tensor:
    """Softmax attention of every row to the rows of its own segment; [N, H, D] in the rows' own order."""
    if resolve_kernel(kernel, q_NHD) == "varlen":
        return _varlen_self(q_NHD, k_NHD, v_NHD, segments)
    if len(segments.lengths) == 1 and segments.order_N is None:
        return _sdpa(q_NHD[None], k_NHD[None], v_NHD[None])[0]
    outputs, targets = [], []
    for bucket in segments.buckets:
        q, k, v = (x[bucket.rows_Sm] for x in (q_NHD, k_NHD, v_NHD))
        mask = None if bucket.valid_Sm is None else bucket.valid_Sm[:, None, None, :]
        out_SmHD = _sdpa(q, k, v, mask)
        if bucket.valid_Sm is None:
            outputs.append(out_SmHD.flatten(0, 1))
            targets.append(bucket.rows_Sm.flatten())
        else:
            outputs.append(out_SmHD[bucket.valid_Sm])
            targets.append(bucket.rows_Sm[bucket.valid_Sm])
    return torch.zeros_like(q_NHD).index_copy(0, torch.cat(targets), torch.cat(outputs))


def segment_cross_attention(
    q_NHD: Tensor, k_BLHD: Tensor, v_BLHD: Tensor, segments: Segments, kernel: AttentionKernel
) -> Tensor:
    """Attention of segment b's rows to context b, for segments that already lie end to end (one per batch item)."""
    if resolve_kernel(kernel, q_NHD) == "varlen":
        return _varlen_cross(q_NHD, k_BLHD, v_BLHD, segments)
    pieces = zip(q_NHD.split(segments.lengths), k_BLHD, v_BLHD, strict=True)
    return torch.cat([_sdpa(q[None], k[None], v[None])[0] for q, k, v in pieces])


def dense_attention(q_BLHD: Tensor, k_BMHD: Tensor, v_BMHD: Tensor) -> Tensor:
    """Softmax attention on equal-length batches; [B, L, H, D]."""
    return _sdpa(q_BLHD, k_BMHD, v_BMHD)


def _sdpa(q_BLHD: Tensor, k_BMHD: Tensor, v_BMHD: Tensor, mask: Tensor | None = None) -> Tensor:
    q, k, v = (x.transpose(1, 2) for x in (q_BLHD, k_BMHD, v_BMHD))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2)


def _varlen_self(q_NHD: Tensor, k_NHD: Tensor, v_NHD: Tensor, segments: Segments) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn  # CUDA only, and only in recent releases of PyTorch

    if segments.order_N is not None:
        q_NHD, k_NHD, v_NHD = (x[segments.order_N] for x in (q_NHD, k_NHD, v_NHD))
    longest = max(segments.lengths, default=0)
    starts = segments.starts
    out = varlen_attn(q_NHD.contiguous(), k_NHD.contiguous(), v_NHD.contiguous(), starts, starts, longest, longest)
    return out if segments.inverse_N is None else out[segments.inverse_N]


def _varlen_cross(q_NHD: Tensor, k_BLHD: Tensor, v_BLHD: Tensor, segments: Segments) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn

    B, L = k_BLHD.shape[:2]
    key_starts = torch.arange(0, (B + 1) * L, L, dtype=torch.int32, device=q_NHD.device)
    k, v = (x.flatten(0, 1).contiguous() for x in (k_BLHD, v_BLHD))
    return varlen_attn(q_NHD.contiguous(), k, v, segments.starts, key_starts, max(segments.lengths, default=0), L)
