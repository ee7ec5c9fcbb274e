"""Robustness sweeps of the paper's supplement (table 1a, sections on mask errors and occlusion).

A step of a sweep either asks the system again under another condition, or looks at a part of what is judged already.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from pipelines.errors import UsageError
from pipelines.evaluate.judging.evaluation import Condition, Evaluation
from pipelines.evaluate.judging.judge import ObjectResult
from pipelines.evaluate.records.options import GROUND_TRUTH, DepthChoice, SweepName
from pipelines.evaluate.records.systems import System

ALPHAS = (0.2, 0.6, 1.0)
"""Shares of estimated depth, those of the supplement's table 1a."""
OCCLUSION_EDGES = (0.0, 0.1, 0.3, 0.5, 0.7, 1.0)
COMPONENT_BINS = ((1, 1), (2, 4), (5, math.inf))
"""The supplement counts masks with more than one 8-connected component, and with more than four."""


@dataclass(frozen=True, slots=True)
class Step:
    """condition: to ask the system under; None takes its ordinary answers. keep: which of the judged objects count."""

    label: str
    condition: Condition | None = None
    keep: Callable[[ObjectResult], bool] | None = None


@dataclass(frozen=True, slots=True)
class SweepResult:
    """One system at one step. evaluation: None if the system has no answers for the step."""

    system: str
    step: Step
    evaluation: Evaluation | None


def steps(sweep: SweepName, depth: DepthChoice) -> tuple[Step, ...]:
    """The steps of a sweep around the depth of the ordinary evaluation. Raises UsageError if that makes no sense."""
    if sweep == "alpha":
        if depth.source == GROUND_TRUTH:
            raise UsageError("the alpha sweep mixes estimated with exact depth: name an estimator with --depth")
        return tuple(
            Step(f"alpha {alpha:g}", Condition(f"alpha-{alpha:g}", replace(depth, ratio=alpha))) for alpha in ALPHAS
        )
    if sweep == "merged":
        return (
            Step("separate masks", Condition("", depth, "pairs_separate")),
            Step("merged masks", Condition("merged", depth, "pairs_merged")),
        )
    if sweep == "occlusion":
        bins = itertools.pairwise(OCCLUSION_EDGES)
        return tuple(Step(f"{low:.0%} to {high:.0%}", keep=occlusion_is_within(low, high)) for low, high in bins)
    return tuple(Step(_span(low, high), keep=components_are_within(low, high)) for low, high in COMPONENT_BINS)


def run_sweep(
    sweep: SweepName,
    systems: Iterable[System],
    ordinary: Mapping[str, Evaluation],
    depth: DepthChoice,
    ask: Callable[[System, Condition], Evaluation],
) -> list[SweepResult]:
    """Every system at every step.

    ordinary: system name to its evaluation without a sweep. ask: evaluates a system under a condition.
    """
    results = []
    for system in systems:
        for step in steps(sweep, depth):
            evaluation: Evaluation | None = None
            if step.condition is None:
                evaluation = ordinary[system.name]
            elif system.answers(step.condition.variation):
                evaluation = ask(system, step.condition)
            results.append(SweepResult(system.name, step, evaluation))
    return results


def occlusion_is_within(low: float, high: float) -> Callable[[ObjectResult], bool]:
    """Occlusion in [low, high); the last bin includes 1."""
    return lambda one: one.occlusion is not None and (low <= one.occlusion < high or one.occlusion == high == 1)


def components_are_within(low: int, high: float) -> Callable[[ObjectResult], bool]:
    """Mask components from low to high, both included."""
    return lambda one: one.mask_components is not None and low <= one.mask_components <= high


def _span(low: int, high: float) -> str:
    if low == high:
        return str(low)
    return f"{low} and more" if math.isinf(high) else f"{low} to {int(high)}"
