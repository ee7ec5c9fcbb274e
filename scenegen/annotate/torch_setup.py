"""Device and precision of the networks of `annotate` and `objects`."""

import contextlib
from typing import Any

import torch

from scenegen.errors import SceneGenError


def pick_device(name: str) -> torch.device:
    """The device of that name; "auto" is CUDA if there is a GPU, else the CPU.

    Raises SceneGenError if CUDA is asked for and there is none.
    """
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise SceneGenError("device cuda was asked for, but torch sees no GPU; check nvidia-smi or use --device cpu")
    return torch.device("cuda")


def reduced_precision(device: torch.device) -> contextlib.AbstractContextManager[Any]:
    """A context in which networks run in bfloat16 on CUDA, and in float32 on CPUs."""
    if device.type == "cuda":
        return torch.autocast("cuda", dtype=torch.bfloat16)
    return contextlib.nullcontext()
