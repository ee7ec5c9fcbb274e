"""What the networks' adapters share: devices, precision, batches of one size, and refusing half-loaded weights."""

import contextlib
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from scenegen.annotate.protocol import Request
from scenegen.errors import SceneGenError


def pick_device(name: str) -> torch.device:
    """ "auto" takes CUDA if there is one. Raises SceneGenError when CUDA is asked for and missing."""
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise SceneGenError("device cuda was asked for, but torch sees no GPU; check nvidia-smi or use --device cpu")
    return torch.device("cuda")


def reduced_precision(device: torch.device) -> contextlib.AbstractContextManager[Any]:
    """bfloat16 where the hardware is made for it; float32 on CPUs."""
    if device.type == "cuda":
        return torch.autocast("cuda", dtype=torch.bfloat16)
    return contextlib.nullcontext()


def batches(requests: Sequence[Request], limit: int) -> list[list[int]]:
    """Positions of requests whose images have one size, at most `limit` a batch."""
    by_size: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for position, request in enumerate(requests):
        by_size[request.rgb.shape].append(position)
    return [group[i : i + limit] for group in by_size.values() for i in range(0, len(group), limit)]


def stacked(images: Sequence[np.ndarray], device: torch.device) -> Tensor:
    """(H, W, 3) uint8 images of one size to (B, 3, H, W) float32 in [0, 1]."""
    batch = torch.from_numpy(np.stack(images)).to(device)
    return batch.movedim(-1, 1).float() / 255


def resized(maps_BHW: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    """(B, h, w) to (B, *size), pixel centres in step (align_corners off)."""
    return functional.interpolate(maps_BHW[:, None].float(), size=size, mode=mode, align_corners=False)[:, 0]


def refuse_partial(name: str, missing: Sequence[str], mismatched: Sequence[Any] = ()) -> None:
    """A network with weights left at random is worse than none. Raises SceneGenError."""
    if missing or mismatched:
        shown = ", ".join(str(key) for key in [*missing, *mismatched][:3])
        raise SceneGenError(
            f"{name}: the checkpoint does not fill the network ({len(missing)} weights missing, {len(mismatched)} of "
            f"another shape: {shown}, ...); it is of another model or damaged. Fetch it again or check --weights"
        )
