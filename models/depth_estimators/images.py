"""What the estimators share: batches, precision, resizing.

Shapes: B batch, H W image.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.depth_estimators.protocol import DepthMap

Group = Sequence[np.ndarray]
"""Pictures of one size that a network sees together."""


def in_batches(
    rgbs: Sequence[np.ndarray], limit: int, run: Callable[[list[np.ndarray]], Sequence[DepthMap]]
) -> list[DepthMap]:
    """`run` on at most `limit` pictures of one size at a time; results in the order of the pictures."""
    return groups_in_batches([[rgb] for rgb in rgbs], limit, lambda groups: run([rgb for (rgb,) in groups]))


def groups_in_batches(
    groups: Sequence[Group], limit: int, run: Callable[[list[Group]], Sequence[DepthMap]]
) -> list[DepthMap]:
    """`run` on groups of equally many pictures of one size, at most `limit` pictures or one group at a time."""
    alike: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for position, group in enumerate(groups):
        alike[len(group), *group[0].shape].append(position)
    found: dict[int, DepthMap] = {}
    for (pictures, *_), positions in alike.items():
        step = max(1, limit // pictures)
        for start in range(0, len(positions), step):
            batch = positions[start : start + step]
            found.update(zip(batch, run([groups[position] for position in batch]), strict=True))
    return [found[position] for position in range(len(groups))]


def device_of(network: nn.Module) -> torch.device:
    return next(network.parameters()).device


def precision(network: nn.Module, half: bool) -> contextlib.AbstractContextManager[Any]:
    """half: bfloat16 by autocast, else as the caller has it."""
    return torch.autocast(device_of(network).type, torch.bfloat16) if half else contextlib.nullcontext()


class InFloat32(nn.Module):
    """A part of a network that computes in float32 where the rest runs in bfloat16.

    For heads: bfloat16 knows 128 numbers between 1 and 2, which shows as steps in depth and as half a degree in a
    field of view.
    """

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part

    def forward(self, *args: Any) -> Any:
        with torch.autocast(device_of(self.part).type, enabled=False):
            return self.part(*map(_float32, args))


def _float32(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.float()
    return [_float32(item) for item in value] if isinstance(value, list | tuple) else value


def stacked(rgbs: Sequence[np.ndarray], device: torch.device) -> Tensor:
    """(H, W, 3) uint8 pictures of one size to (B, 3, H, W) float32 in [0, 1]."""
    batch = torch.from_numpy(np.stack(rgbs)).to(device)
    return batch.movedim(-1, 1).float() / 255


def resized(maps_BHW: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    """(B, h, w) to (B, *size), pixel centres in step (align_corners off)."""
    return functional.interpolate(maps_BHW[:, None].float(), size=size, mode=mode, align_corners=False)[:, 0]
