"""DDP and FSDP2 behind one interface: a training module whole on every rank, or in shards.

Optimiser and EMA always work on a list of plain tensors: this rank's part of every trained parameter, in the order of
`names`. Only this file knows whether a part is the whole parameter.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

from pipelines.errors import UsageError
from pipelines.train.interfaces.loading import Batch
from pipelines.train.interfaces.stage import Losses, TrainingModule
from pipelines.train.optimisation.distributed import Ranks

Strategy = Literal["ddp", "fsdp"]


class Parallel:
    """Wraps a module that is on its device already and has equal weights on all ranks.

    module: the module itself. names: of its trained parameters. sharded: whether each rank holds a part of them.
    Raises UsageError if no parameter is trained.
    """

    def __init__(self, module: TrainingModule, ranks: Ranks, strategy: Strategy) -> None:
        self.module, self._ranks = module, ranks
        self.sharded = strategy == "fsdp" and ranks.world_size > 1
        self._ddp: DistributedDataParallel | None = None
        if self.sharded:
            _shard(module)
        elif ranks.world_size > 1:
            self._ddp = _replicate(module, ranks)
        trained = {name: value for name, value in module.named_parameters() if value.requires_grad}
        if not trained:
            raise UsageError("this stage has nothing to train: every parameter is frozen")
        self.names = tuple(trained)
        self._parameters = tuple(trained.values())

    def forward(self, batch: Batch) -> Losses:
        return self.module(batch) if self._ddp is None else self._ddp(batch)

    @contextmanager
    def accumulating(self, last: bool) -> Iterator[None]:
        """Context of one micro-batch: gradients are reduced over ranks only with the last one of a step."""
        if self._ddp is not None and not last:
            with self._ddp.no_sync():
                yield
            return
        if isinstance(self.module, FSDPModule):
            self.module.set_requires_gradient_sync(last)
        yield

    def weights(self) -> list[Tensor]:
        """This rank's part of every trained parameter."""
        return [_part(parameter.detach()) for parameter in self._parameters]

    def gradients(self) -> list[Tensor]:
        """This rank's part of every gradient, averaged over ranks (not over samples).

        Raises RuntimeError if a trained parameter has none.
        """
        missing = [name for name, p in zip(self.names, self._parameters, strict=True) if p.grad is None]
        if missing:
            raise RuntimeError(f"no gradient reached {', '.join(missing)}; freeze them or use them in the loss")
        return [_part(parameter.grad) for parameter in self._parameters if parameter.grad is not None]

    def drop_gradients(self) -> None:
        self.module.zero_grad(set_to_none=True)

    def norm(self, tensors: Sequence[Tensor]) -> Tensor:
        """Scalar: the Euclidean norm over all ranks of parts like those of `weights()` or `gradients()`."""
        norms = torch.stack(torch._foreach_norm(list(tensors)))
        if not self.sharded:
            return torch.linalg.vector_norm(norms)
        return self._ranks.sum(norms.square().sum()).sqrt()

    def gathered(self, parts: Sequence[Tensor]) -> dict[str, Tensor]:
        """Whole tensors by name on the CPU of rank 0; {} elsewhere. Called by all ranks."""
        whole: dict[str, Tensor] = {}
        for name, parameter, part in zip(self.names, self._parameters, parts, strict=True):
            value = _like(parameter, part).full_tensor() if isinstance(parameter, DTensor) else part
            if self._ranks.is_main:
                whole[name] = value.cpu()
        return whole

    def parts(self, whole: Mapping[str, Tensor]) -> list[Tensor]:
        """The inverse of `gathered`, from whole tensors that every rank has read."""
        return [
            _part(distribute_tensor(value.to(p.device), p.device_mesh, p.placements, src_data_rank=None))
            if isinstance(p, DTensor)
            else value.to(p.device, copy=True)
            for p, value in ((p, whole[name]) for name, p in zip(self.names, self._parameters, strict=True))
        ]

    @contextmanager
    def whole(self) -> Iterator[TrainingModule]:
        """The module in eval mode with all its weights on every rank, so that a stage may call any part of it."""
        shards = [m for m in self.module.modules() if isinstance(m, FSDPModule)]
        for shard in shards:
            shard.set_reshard_after_forward(False, recurse=False)
            shard.unshard()
        was_training = self.module.training
        self.module.eval()
        try:
            yield self.module
        finally:
            self.module.train(was_training)
            for shard in shards:
                shard.reshard()
                shard.set_reshard_after_forward(shard is not self.module, recurse=False)


def _replicate(module: TrainingModule, ranks: Ranks) -> DistributedDataParallel:
    """DDP. Buffers are constants of the networks, so they are not broadcast."""
    ids = [ranks.device] if ranks.device.type == "cuda" else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # newer releases rename broadcast_buffers; older know only this
        return DistributedDataParallel(module, device_ids=ids, broadcast_buffers=False, gradient_as_bucket_view=True)


def _shard(module: TrainingModule) -> None:
    """FSDP2: each block is a unit, the rest is another. Weights of all ranks become those of rank 0."""
    for parameter in module.parameters():
        dist.broadcast(parameter.detach(), src=0)
    for block in module.blocks():
        fully_shard(block)
    fully_shard(module)


def _part(tensor: Tensor) -> Tensor:
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def _like(parameter: DTensor, part: Tensor) -> DTensor:
    return DTensor.from_local(
        part, parameter.device_mesh, parameter.placements, shape=parameter.shape, stride=parameter.stride()
    )
