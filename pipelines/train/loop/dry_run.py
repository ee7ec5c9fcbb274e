"""The dry run of a stage: its samples, networks and memory, and the loss of one batch. Trains nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pipelines.train.interfaces.loading import Batch, Loader
from pipelines.train.interfaces.stage import Losses, Stage, TrainingModule
from pipelines.train.loop.options import LoopOptions, loader_options
from pipelines.train.optimisation.distributed import Ranks

# Bytes of a trained parameter: weight, gradient, two moments, average, all float32.
_BYTES_TRAINED, _BYTES_FROZEN = 5 * 4, 4


def show_stage(
    stage: Stage, loader: Loader, options: LoopOptions, device: torch.device, say: Callable[[str], None]
) -> None:
    """Describe a stage line by line, as if this process trained alone. say: prints a line."""
    recipe, module = stage.recipe, stage.module()
    say(
        f"{stage.name}: {recipe.steps} steps of batch {recipe.batch_size}, learning rate {recipe.learning_rate:g}, "
        f"EMA {recipe.ema_decay:g}"
    )
    for split in ("train", "val"):
        say(f"  samples     {split}: {len(stage.source(split))}")
    for name, network in stage.networks().items():
        say(f"  trained     {name}: {type(network).__name__}, {_millions(network)}")
    for network in module.frozen():
        say(f"  frozen      {type(network).__name__}, {_millions(network)}")
    alone = loader_options(recipe, options, Ranks(0, 1, device))
    with closing(loader.training_batches(stage.source("train"), alone, 0)) as steps:
        micro_batches = next(steps)
    say(f"  first batch {_count(len(micro_batches), 'micro-batch', 'es')}; the first:")
    for line in _lines(micro_batches[0]):
        say(f"              {line}")
    for network in (module, *module.frozen()):
        network.to(device)
    tried = _try(module, micro_batches[0].to(device), options)
    terms = "".join(f", {name} {value.mean().item():.4g}" for name, value in sorted(tried.losses.terms.items()))
    say(f"  its loss    {tried.losses.loss_B.mean().item():.4g}{terms}")
    for line in _memory(module, tried.saved_bytes):
        say(line)


@dataclass(frozen=True)
class _Trial:
    """saved_bytes: of activations that autograd keeps for the backward pass."""

    losses: Losses
    saved_bytes: int


def _try(module: TrainingModule, batch: Batch, options: LoopOptions) -> _Trial:
    """One forward and backward pass of a micro-batch."""
    half = options.precision != torch.float32
    device = next(module.parameters()).device
    with _saved_storages() as saved, torch.autocast(device.type, options.precision, enabled=half):
        losses = module(batch)
        known = {p.untyped_storage().data_ptr() for p in _parameters((module, *module.frozen()))}
        total = sum(size for place, size in saved.items() if place not in known)
    losses.loss_B.mean().backward()
    return _Trial(losses, total)


def _memory(module: TrainingModule, saved_bytes: int) -> Iterator[str]:
    trained = sum(p.numel() for p in module.parameters() if p.requires_grad)
    frozen = sum(p.numel() for p in _parameters((module, *module.frozen()))) - trained
    yield (
        f"  memory      {_mib(trained * _BYTES_TRAINED)} weights, gradients, moments and averages; "
        f"{_mib(frozen * _BYTES_FROZEN)} frozen weights; {_mib(saved_bytes)} activations of the first micro-batch"
    )


@contextmanager
def _saved_storages() -> Iterator[Mapping[int, int]]:
    """Bytes by address of the storages that autograd saves for the backward pass in this context."""
    saved: dict[int, int] = {}

    def remember(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(remember, lambda tensor: tensor):
        yield saved


def _lines(value: Any, name: str = "") -> Iterator[str]:
    """One line for each tensor of a batch, however it is nested."""
    if isinstance(value, Tensor):
        yield f"{name:32} {str(value.dtype).removeprefix('torch.'):8} {list(value.shape)}{_range(value)}"
    elif is_dataclass(value):
        for field in fields(value):
            yield from _lines(getattr(value, field.name), f"{name}.{field.name}".lstrip("."))
    elif isinstance(value, Sequence) and any(isinstance(part, Tensor) for part in value):
        for index, part in enumerate(value):
            yield from _lines(part, f"{name}[{index}]")


def _range(tensor: Tensor) -> str:
    if not tensor.numel() or tensor.is_complex():
        return ""
    low, high = tensor.double().nan_to_num().aminmax()
    return f"  {low:.4g} to {high:.4g}"


def _parameters(networks: Iterable[nn.Module]) -> Iterator[nn.Parameter]:
    for network in networks:
        yield from network.parameters()


def _count(number: int, what: str, plural: str) -> str:
    return f"{number} {what}{plural if number != 1 else ''}"


def _mib(size: int) -> str:
    return f"{size / 2**20:.3g} MiB" if size < 1000 * 2**20 else f"{size / 2**20:,.0f} MiB"


def _millions(network: nn.Module) -> str:
    return f"{sum(p.numel() for p in network.parameters()) / 1e6:,.3f} M parameters"
