"""Where and how the networks run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from pipelines.errors import UsageError

Device = Literal["auto", "cuda", "cpu"]
Precision = Literal["auto", "bf16", "fp32"]


@dataclass(frozen=True)
class Computer:
    """offload: networks are on the device only while they are in use."""

    device: torch.device
    half: bool
    offload: bool = False

    @classmethod
    def choose(cls, device: Device, precision: Precision = "auto", offload: bool = False) -> Computer:
        """ "auto" is CUDA where there is one, and bfloat16 there; nothing else falls back.

        Raises UsageError for CUDA where there is none.
        """
        available = torch.cuda.is_available()
        if device == "cuda" and not available:
            raise UsageError("there is no CUDA device for this PyTorch; use --device cpu, or install PyTorch for CUDA")
        chosen = torch.device("cuda" if available and device != "cpu" else "cpu")
        half = precision == "bf16" or (precision == "auto" and chosen.type == "cuda")
        return cls(chosen, half, offload)

    @contextmanager
    def using(self, *networks: nn.Module) -> Iterator[None]:
        """Inside, these networks are on the device, run without gradients and in the chosen precision."""
        for network in networks:
            network.to(self.device)
        try:
            with torch.no_grad(), torch.autocast(self.device.type, torch.bfloat16) if self.half else nullcontext():
                yield
        finally:
            if self.offload:
                for network in networks:
                    network.to("cpu")
