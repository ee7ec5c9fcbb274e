"""Variable-length sequences laid end to end, and attention inside each of them.

Shapes: N rows, S segments, H heads, D channels per head, B batch items, L context tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from models.execution import AttentionKernel

HALF_TYPES = (torch.float16, torch.bfloat16)
# Segments are batched with others of up to this many rows more (or up to a quarter more if that is more): few kernel
# launches, little waste. Chosen by tests/benchmarks/models_speed.py.
PAD_ROWS = 16
_LONGEST_IN_FULL = 2048  # keys; beyond it the weights outgrow the caches


class Segments:
    """A partition of N rows into segments; attention runs inside each segment.

    order_N: the rows segment by segment; None if they already lie so.
    lengths: rows per segment, as Python integers (one device synchronisation, when the partition is made).
    """

    def __init__(self, lengths: list[int], order_N: Tensor | None, device: torch.device) -> None:
        self.lengths = tuple(lengths)
        self.order_N = order_N
        self.device = device
        self._plans: dict[AttentionKernel, AttentionPlan] = {}

    @cached_property
    def starts(self) -> Tensor:
        """[S + 1] int32 cumulative lengths."""
        lengths = torch.tensor((0, *self.lengths), dtype=torch.int32, device=self.device)
        return lengths.cumsum(0, dtype=torch.int32)

    def plan(self, kernel: AttentionKernel, dtype: torch.dtype) -> AttentionPlan:
        """How to run attention inside the segments on tensors of this dtype; made once per kernel.

        Raises ValueError for a kernel that is not defined on this device and dtype.
        """
        kernel = resolve_kernel(kernel, self.device, dtype)
        if kernel not in self._plans:
            self._plans[kernel] = VarlenAttention.of(self) if kernel == "varlen" else BucketedAttention.of(self)
        return self._plans[kernel]


def resolve_kernel(kernel: AttentionKernel, device: torch.device, dtype: torch.dtype) -> AttentionKernel:
    """ "auto" becomes the kernel that is defined for these tensors; an impossible choice is an error."""
    possible = device.type == "cuda" and dtype in HALF_TYPES
    if kernel == "auto":
        return "varlen" if possible else "bucketed"
    if kernel == "varlen" and not possible:
        raise ValueError(
            f"attention='varlen' needs fp16 or bf16 tensors on CUDA, got {dtype} on {device}; "
            "run under torch.autocast on CUDA, or use attention='bucketed'"
        )
    return kernel


class AttentionPlan(Protocol):
    """Attention with all that depends on coordinates computed before, so that a block that uses it compiles."""

    def self_attention(self, q_NHD: Tensor, k_NHD: Tensor, v_NHD: Tensor) -> Tensor:
        """Softmax attention of every row to the rows of its own segment, in the rows' own order."""

    def cross_attention(self, q_NHD: Tensor, k_BLHD: Tensor, v_BLHD: Tensor) -> Tensor:
        """Attention of segment b's rows to context b, for segments that lie end to end (one per batch item).

        Rows of segments behind those with a context get zeros.
        """

    def tensors(self) -> tuple[Tensor, ...]:
        """All that the plan consists of."""


@dataclass(frozen=True)
class Bucket:
    """Segments of similar length, padded to one length.

    rows_Sm: row of each padded slot (padding repeats the segment's first row, and is masked).
    valid_Sm: which slots are real; None if all are.
    """

    rows_Sm: Tensor
    valid_Sm: Tensor | None


@dataclass(frozen=True)
class BucketedAttention:
    """PyTorch's dense kernel on batches of similarly long segments. Any device and dtype.

    source_N: where each row's result lies among the buckets' padded slots, one bucket after the other.
    """

    lengths: tuple[int, ...]
    buckets: tuple[Bucket, ...]
    source_N: Tensor | None

    @classmethod
    def of(cls, segments: Segments) -> BucketedAttention:
        if len(segments.lengths) == 1 and segments.order_N is None:
            return cls(segments.lengths, (), None)  # one segment, in order: nothing to rearrange
        groups: dict[int, list[int]] = {}
        for segment, length in enumerate(segments.lengths):
            if length:
                groups.setdefault(padded_length(length), []).append(segment)
        buckets = tuple(make_bucket(segments, members) for members in groups.values())
        source_N = torch.zeros(sum(segments.lengths), dtype=torch.long, device=segments.device)
        first = 0
        for bucket in buckets:
            slot_Sm = torch.arange(bucket.rows_Sm.numel(), device=segments.device).view_as(bucket.rows_Sm) + first
            real = slice(None) if bucket.valid_Sm is None else bucket.valid_Sm
            source_N[bucket.rows_Sm[real].flatten()] = slot_Sm[real].flatten()
            first += bucket.rows_Sm.numel()
        return cls(segments.lengths, buckets, source_N)

    def tensors(self) -> tuple[Tensor, ...]:
        made = [self.source_N, *(x for bucket in self.buckets for x in (bucket.rows_Sm, bucket.valid_Sm))]
        return tuple(x for x in made if x is not None)

    def self_attention(self, q_NHD: Tensor, k_NHD: Tensor, v_NHD: Tensor) -> Tensor:
        if self.source_N is None:
            return dense_attention(q_NHD[None], k_NHD[None], v_NHD[None])[0]
        slots = []
        for bucket in self.buckets:
            q, k, v = (take_rows(x, bucket.rows_Sm) for x in (q_NHD, k_NHD, v_NHD))
            mask = None if bucket.valid_Sm is None else bucket.valid_Sm[:, None, None, :]
            slots.append(dense_attention(q, k, v, mask).flatten(0, 1))
        return torch.cat(slots).index_select(0, self.source_N)

    def cross_attention(self, q_NHD: Tensor, k_BLHD: Tensor, v_BLHD: Tensor) -> Tensor:
        given = self.lengths[: contexts_given(len(k_BLHD), len(self.lengths))]
        pieces = zip(q_NHD[: sum(given)].split(given), k_BLHD, v_BLHD, strict=True)
        return pad_rows(torch.cat([dense_attention(q[None], k[None], v[None])[0] for q, k, v in pieces]), len(q_NHD))


def take_rows(x_NHD: Tensor, rows_Sm: Tensor) -> Tensor:
    """[S, m, H, D]; on the CPU `index_select` is ten times as fast as indexing with a tensor."""
    return x_NHD.index_select(0, rows_Sm.flatten()).unflatten(0, rows_Sm.shape)


def make_bucket(segments: Segments, members: list[int]) -> Bucket:
    index_S = torch.tensor(members, device=segments.device)
    start_S, end_S = segments.starts[index_S].long(), segments.starts[index_S + 1].long()
    lengths = [segments.lengths[segment] for segment in members]
    rows_Sm = start_S[:, None] + torch.arange(max(lengths), device=segments.device)
    valid_Sm = rows_Sm < end_S[:, None]
    rows_Sm = torch.where(valid_Sm, rows_Sm, start_S[:, None])
    if segments.order_N is not None:
        rows_Sm = segments.order_N[rows_Sm]
    return Bucket(rows_Sm, None if min(lengths) == max(lengths) else valid_Sm)


def padded_length(length: int) -> int:
    """Segments with the same padded length share a bucket."""
    step = max(PAD_ROWS, 1 << (length.bit_length() - 3)) if length >= 8 else PAD_ROWS
    return -(-length // step) * step


@dataclass(frozen=True)
class VarlenAttention:
    """PyTorch's variable-length flash kernel: no padding at all. CUDA, fp16 and bf16.

    longest: an empty tensor of as many rows as the longest segment has. To a compiler the size of a tensor is a
    variable, and a number a constant. A compiled block looks at `lengths` only where some items have no context.
    """

    starts: Tensor
    lengths: tuple[int, ...]
    longest: Tensor
    order_N: Tensor | None
    inverse_N: Tensor | None

    @classmethod
    def of(cls, segments: Segments) -> VarlenAttention:
        inverse_N = None if segments.order_N is None else segments.order_N.argsort()
        longest = torch.empty(max(segments.lengths, default=0), 0, device=segments.device)
        return cls(segments.starts, segments.lengths, longest, segments.order_N, inverse_N)

    def tensors(self) -> tuple[Tensor, ...]:
        return tuple(x for x in (self.starts, self.longest, self.order_N, self.inverse_N) if x is not None)

    def self_attention(self, q_NHD: Tensor, k_NHD: Tensor, v_NHD: Tensor) -> Tensor:
        if self.order_N is not None:
            q_NHD, k_NHD, v_NHD = (x[self.order_N] for x in (q_NHD, k_NHD, v_NHD))
        longest = len(self.longest)
        out = self._kernel(q_NHD, k_NHD, v_NHD, self.starts, self.starts, longest, longest)
        return out if self.inverse_N is None else out[self.inverse_N]

    def cross_attention(self, q_NHD: Tensor, k_BLHD: Tensor, v_BLHD: Tensor) -> Tensor:
        B, L = k_BLHD.shape[:2]
        items = len(self.starts) - 1
        key_starts = torch.arange(0, (B + 1) * L, L, dtype=torch.int32, device=q_NHD.device)
        k, v = k_BLHD.flatten(0, 1), v_BLHD.flatten(0, 1)
        if contexts_given(B, items) == items:
            return self._kernel(q_NHD, k, v, self.starts, key_starts, len(self.longest), L)
        given = self.lengths[:B]
        out = self._kernel(q_NHD[: sum(given)], k, v, self.starts[: B + 1], key_starts, max(given, default=0), L)
        return pad_rows(out, len(q_NHD))

    def _kernel(
        self, q: Tensor, k: Tensor, v: Tensor, starts: Tensor, key_starts: Tensor, longest: int, longest_key: int
    ) -> Tensor:
        from torch.nn.attention.varlen import varlen_attn  # CUDA only, and only in recent releases of PyTorch

        q, k, v = (x.contiguous() for x in (q, k, v))
        return cast(Tensor, varlen_attn(q, k, v, starts, key_starts, longest, longest_key))  # a pair only on request


def contexts_given(contexts: int, items: int) -> int:
    """How many items, the first ones, have a context: all of them; or, for guidance in one pass, all but those without
    condition, which are as many again or one that stands for them all. Raises ValueError for anything else."""
    # Not `in`: a compiler that takes both for variables compares what they are called and not what they are.
    if not (items == contexts or items == contexts + 1 or items == 2 * contexts):
        raise ValueError(f"{contexts} contexts do not fit {items} batch items")
    return contexts


def pad_rows(x: Tensor, rows: int) -> Tensor:
    """Zeros behind the first dimension of x, so that it has `rows`."""
    return x if len(x) == rows else torch.cat([x, x.new_zeros(rows - len(x), *x.shape[1:])])


def dense_attention(q_BLHD: Tensor, k_BMHD: Tensor, v_BMHD: Tensor, mask: Tensor | None = None) -> Tensor:
    """Softmax attention on equal-length batches; [B, L, H, D]. PyTorch keeps the softmax in float32.

    mask: bool, what may be attended to, broadcastable to [B, H, L, M].
    """
    q, k, v = (x.transpose(1, 2) for x in (q_BLHD, k_BMHD, v_BMHD))
    if _is_quicker_in_full(q, k):
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        return (torch.softmax(scores, dim=-1) @ v).transpose(1, 2)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2)


def _is_quicker_in_full(q: Tensor, k: Tensor) -> bool:
    """Whether all weights at once beat the fused kernel: its backward pass on a CPU makes no use of matrix units."""
    trains = torch.is_grad_enabled() and (q.requires_grad or k.requires_grad)
    return trains and q.device.type == "cpu" and q.dtype == torch.bfloat16 and k.shape[2] <= _LONGEST_IN_FULL
