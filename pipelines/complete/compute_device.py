"""The device on which networks run, and in which precision."""

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
class ComputeDevice:
    """bf16: networks run under autocast to bfloat16. offload: they are on the device only while they are in use."""

    device: torch.device
    bf16: bool
    offload: bool = False

    @classmethod
    def choose(cls, device: Device, precision: Precision = "auto", offload: bool = False) -> ComputeDevice:
        """ "auto" is CUDA where there is a GPU, and bfloat16 on CUDA. There is no other fallback.

        Raises UsageError if CUDA was asked for and there is none.
        """
        available = torch.cuda.is_available()
        if device == "cuda" and not available:
            raise UsageError("there is no CUDA device for this PyTorch; use --device cpu, or install PyTorch for CUDA")
        chosen = torch.device("cuda" if available and device != "cpu" else "cpu")
        bf16 = precision == "bf16" or (precision == "auto" and chosen.type == "cuda")
        return cls(chosen, bf16, offload)

    @contextmanager
    def using(self, *networks: nn.Module) -> Iterator[None]:
        """Within the context these networks are on the device and run without gradients in the chosen precision."""
        for network in networks:
            network.to(self.device)
        try:
            with torch.no_grad(), torch.autocast(self.device.type, torch.bfloat16) if self.bf16 else nullcontext():
                yield
        finally:
            if self.offload:
                for network in networks:
                    network.to("cpu")
