"""Rectified flow: a point on a sample's path and its velocity, the squared error, and dropped conditions.

Shapes: B samples, N rows of sparse latents, ... the shape of a latent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import TypeVar

from torch import Tensor

from models.condition import Condition
from pipelines.flow_matching import FlowPath
from pipelines.samplers import TIME_SCALE

ConditionT = TypeVar("ConditionT", bound=Condition)


@dataclass(frozen=True)
class FlowPoint:
    """Samples on their paths: x_t and the velocity there, both of the latents' shape; t_B in [0, 1], 1 is noise."""

    x_t: Tensor
    velocity: Tensor
    t_B: Tensor

    @property
    def network_time_B(self) -> Tensor:
        """t in the unit of the networks."""
        return TIME_SCALE * self.t_B


def flow_point(
    path: FlowPath, x_0: Tensor, noise: Tensor, time_B: Tensor, spread: Callable[[Tensor], Tensor] = lambda t: t
) -> FlowPoint:
    """The points of samples on their paths at random times.

    x_0: latents. noise: standard normal, of the same shape. time_B: standard normal draws, from which `path` makes t.
    spread: from a value per sample to one per row of x_0, for sparse latents.
    """
    t_B = path.times(time_B)
    return FlowPoint(path.interpolate(x_0, noise, spread(t_B)), path.velocity(x_0, noise), t_B)


def mean_square_B(prediction: Tensor, target: Tensor) -> Tensor:
    """[B]: the squared error, averaged over all dimensions but the first."""
    return (prediction.float() - target).square().flatten(1).mean(1)


def drop_rows(value: Tensor, drop: Tensor) -> Tensor:
    """The value with zeros in the rows where `drop` (bool, one per row) is true."""
    return value.masked_fill(drop.view(-1, *(1,) * (value.ndim - 1)), 0)


def drop_condition(
    cond: ConditionT, drop_B: Tensor, spread: Mapping[str, Callable[[Tensor], Tensor]] | None = None
) -> ConditionT:
    """The condition with zeros in all its tensors for the samples where `drop_B` (bool) is true.

    A sample's condition is dropped as a whole, for classifier-free guidance.
    spread: by name of a field whose rows are voxels: from a value per sample to one per row.
    """
    present = {field.name: getattr(cond, field.name) for field in fields(cond)}
    spread = spread or {}
    dropped = {
        name: drop_rows(value, spread[name](drop_B) if name in spread else drop_B)
        for name, value in present.items()
        if value is not None
    }
    return replace(cond, **dropped)
