"""Robustness: the sweeps of the paper's supplement (table 1a, sections on mask errors and occlusion).

A step of a sweep either asks the system again under another condition, or looks at a part of what is judged already.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pipelines.errors import UsageError
from pipelines.evaluate.depth import GROUND_TRUTH, DepthChoice
from pipelines.evaluate.evaluation import Condition, Evaluation, components_are_within, occlusion_is_within
from pipelines.evaluate.judge import ObjectResult
from pipelines.evaluate.records import System
from pipelines.evaluate.report import paper
from pipelines.evaluate.report.tables import (
    COUNT_COLUMNS,
    NOT_GIVEN,
    OBJECT_COLUMNS,
    OBJECT_PLOTS,
    Reading,
    Row,
    Table,
    object_cells,
)

SweepName = Literal["alpha", "merged", "occlusion", "components"]

OCCLUSION_EDGES = (0.0, 0.1, 0.3, 0.5, 0.7, 1.0)
COMPONENT_BINS = ((1, 1), (2, 4), (5, math.inf))
"""The supplement counts masks with more than one 8-connected component, and with more than four."""

_TITLES: dict[SweepName, str] = {
    "alpha": "Robustness to distorted depth: share of estimated depth (supplement, table 1a)",
    "merged": "Robustness to merged masks: pairs of neighbouring instances, judged as one thing",
    "occlusion": "By occlusion of the object",
    "components": "By number of 8-connected components of the mask",
}


@dataclass(frozen=True, slots=True)
class Step:
    """condition: to ask the system under; None takes its ordinary answers. keep: which of the judged objects count."""

    label: str
    condition: Condition | None = None
    keep: Callable[[ObjectResult], bool] | None = None


def steps(sweep: SweepName, depth: DepthChoice) -> tuple[Step, ...]:
    """The steps of a sweep around the depth of the ordinary evaluation. Raises UsageError if that makes no sense."""
    if sweep == "alpha":
        if depth.source == GROUND_TRUTH:
            raise UsageError("the alpha sweep mixes estimated with exact depth: name an estimator with --depth")
        return tuple(
            Step(f"alpha {alpha:g}", Condition(f"alpha-{alpha:g}", replace(depth, ratio=alpha)))
            for alpha in paper.ALPHAS
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


def sweep_table(
    sweep: SweepName,
    systems: Sequence[System],
    ordinary: Mapping[str, Evaluation],
    depth: DepthChoice,
    ask: Callable[[System, Condition], Evaluation],
    reading: Reading,
) -> tuple[Table, list[Evaluation]]:
    """The table, and the evaluations that were made for it.

    ordinary: system name to its evaluation without a sweep. ask: evaluates a system under a condition.
    """
    rows, made = [], []
    for system in systems:
        for step in steps(sweep, depth):
            label = f"{system.name}, {step.label}"
            if step.condition is None:
                one = ordinary[system.name]
            elif system.answers(step.condition.variation):
                one = ask(system, step.condition)
                made.append(one)
            else:
                rows.append(Row(label, note=f"{NOT_GIVEN} (no folder {step.condition.variation})"))
                continue
            rows.append(Row(label, object_cells(one.only(step.keep) if step.keep else one, reading)))
    table = Table(
        name=f"sweep_{sweep}",
        title=_TITLES[sweep],
        head="system, step",
        columns=OBJECT_COLUMNS + COUNT_COLUMNS,
        rows=tuple(rows),
        notes=_notes(sweep),
        plotted=OBJECT_PLOTS,
    )
    return table, made


def _span(low: int, high: float) -> str:
    if low == high:
        return str(low)
    return f"{low} and more" if math.isinf(high) else f"{low} to {int(high)}"


def _notes(sweep: SweepName) -> tuple[str, ...]:
    if sweep == "alpha":
        figures = "; ".join(
            f"alpha {one.alpha:g}: CD-O {one.chamfer}, F-O {one.f_score} %, IoU-B {one.box_iou}"
            for one in paper.DISTORTION
        )
        return (f"Published for 3D-Fixer on the authors' own test set, which is another one: {figures}.",)
    if sweep == "merged":
        return (
            "Pairs of judged instances whose masks lie within 2 pixels, each instance in one pair at most, drawn with "
            "the seed. Both rows judge the same pairs, in the box of both objects; only the masks differ.",
        )
    return ()
