"""Devices and precision of the networks that annotate."""

import contextlib
from typing import Any

import torch

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
