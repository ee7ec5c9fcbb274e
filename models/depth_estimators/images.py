"""What the estimators share: batches of one size, precision, resizing.

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


def in_batches(
    rgbs: Sequence[np.ndarray], limit: int, run: Callable[[list[np.ndarray]], Sequence[DepthMap]]
) -> list[DepthMap]:
    """`run` on at most `limit` pictures of one size at a time; results in the order of the pictures."""
    by_size: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for position, rgb in enumerate(rgbs):
        by_size[rgb.shape].append(position)
    found: dict[int, DepthMap] = {}
    for positions in by_size.values():
        for start in range(0, len(positions), limit):
            group = positions[start : start + limit]
            found.update(zip(group, run([rgbs[position] for position in group]), strict=True))
    return [found[position] for position in range(len(rgbs))]


def device_of(network: nn.Module) -> torch.device:
    return next(network.parameters()).device


def precision(network: nn.Module, half: bool) -> contextlib.AbstractContextManager[Any]:
    """half: bfloat16 by autocast, else as the caller has it."""
    return torch.autocast(device_of(network).type, torch.bfloat16) if half else contextlib.nullcontext()


def stacked(rgbs: Sequence[np.ndarray], device: torch.device) -> Tensor:
    """(H, W, 3) uint8 pictures of one size to (B, 3, H, W) float32 in [0, 1]."""
    batch = torch.from_numpy(np.stack(rgbs)).to(device)
    return batch.movedim(-1, 1).float() / 255


def resized(maps_BHW: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    """(B, h, w) to (B, *size), pixel centres in step (align_corners off)."""
    return functional.interpolate(maps_BHW[:, None].float(), size=size, mode=mode, align_corners=False)[:, 0]
