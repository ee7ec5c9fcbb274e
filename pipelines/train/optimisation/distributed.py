"""The ranks of a run, as torchrun starts them. Without torchrun, the process is rank 0 of 1."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor

from pipelines.errors import UsageError

DeviceName = Literal["auto", "cuda", "cpu"]
# Longer than rank 0 ever works alone (writing a checkpoint, drawing snapshots) while the others wait.
_TIMEOUT = timedelta(minutes=30)


@dataclass(frozen=True)
class Ranks:
    """This process among the ranks of a run. device: the one that it trains on."""

    rank: int
    world_size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """The sum over ranks, in place."""
        if self.world_size > 1:
            dist.all_reduce(values)
        return values

    def gather(self, value: Any) -> list[Any]:
        """The picklable values of all ranks, in the order of ranks, on every rank."""
        if self.world_size == 1:
            return [value]
        values: list[Any] = [None] * self.world_size
        dist.all_gather_object(values, value)
        return values

    def from_main(self, value: Any) -> Any:
        """Rank 0's value, on every rank."""
        return self.gather(value if self.is_main else None)[0]


@contextmanager
def process_group(device: DeviceName, environment: Mapping[str, str] = os.environ) -> Iterator[Ranks]:
    """Join the ranks that torchrun started, if there are any. Raises UsageError if CUDA is asked for and missing."""
    world_size = int(environment.get("WORLD_SIZE", "1"))
    chosen = choose_device(device, int(environment.get("LOCAL_RANK", "0")))
    if world_size == 1:
        yield Ranks(0, 1, chosen)
        return
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
        dist.init_process_group("nccl", timeout=_TIMEOUT, device_id=chosen)
    else:
        dist.init_process_group("gloo", timeout=_TIMEOUT)
    try:
        yield Ranks(dist.get_rank(), world_size, chosen)
    finally:
        dist.destroy_process_group()


def choose_device(device: DeviceName, local_rank: int) -> torch.device:
    """The device of a rank: the one asked for; for "auto" the rank's GPU, or the CPU of a machine without GPUs.

    Raises UsageError if there is no such GPU.
    """
    if device == "cpu" or (device == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise UsageError(
            "--device cuda: PyTorch sees no CUDA device here; install a CUDA build of it or use --device cpu"
        )
    if local_rank >= torch.cuda.device_count():
        raise UsageError(
            f"rank {local_rank} of this machine has no GPU: there are {torch.cuda.device_count()}; "
            "start as many processes as there are GPUs (torchrun --nproc-per-node gpu)"
        )
    return torch.device("cuda", local_rank)
