"""Rectified flow: one point of the path and its velocity, the error per sample, and conditions that are dropped.

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
    """Where a sample is on its path: x_t, the velocity that a network is to predict there, and t in [0, 1]."""

    x_t: Tensor
    velocity: Tensor
    t_B: Tensor

    @property
    def network_time_B(self) -> Tensor:
        """As the networks take it."""
        return TIME_SCALE * self.t_B


def flow_point(
    path: FlowPath, x_0: Tensor, noise: Tensor, time_B: Tensor, spread: Callable[[Tensor], Tensor] = lambda t: t
) -> FlowPoint:
    """time_B: standard normal draws. spread: from a value per sample to one per row of x_0, for sparse latents."""
    t_B = path.times(time_B)
    return FlowPoint(path.interpolate(x_0, noise, spread(t_B)), path.velocity(x_0, noise), t_B)


def mean_square_B(prediction: Tensor, target: Tensor) -> Tensor:
    """[B]: the squared error averaged over everything but the samples."""
    return (prediction.float() - target).square().flatten(1).mean(1)


def drop_rows(value: Tensor, drop: Tensor) -> Tensor:
    """Zeros in the rows that `drop` (bool, one per row) names."""
    return value.masked_fill(drop.view(-1, *(1,) * (value.ndim - 1)), 0)


def drop_condition(
    cond: ConditionT, drop_B: Tensor, spread: Mapping[str, Callable[[Tensor], Tensor]] | None = None
) -> ConditionT:
    """Zeros for everything that is known of the samples in `drop_B` (bool): all of it or nothing, for guidance.

    spread: for tensors with a row per voxel instead of per sample, by field name: from a value per sample to rows.
    """
    present = {field.name: getattr(cond, field.name) for field in fields(cond)}
    spread = spread or {}
    dropped = {
        name: drop_rows(value, spread[name](drop_B) if name in spread else drop_B)
        for name, value in present.items()
        if value is not None
    }
    return replace(cond, **dropped)
