"""The table of a robustness sweep."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.evaluate.judging.sweeps import SweepResult
from pipelines.evaluate.records.options import SweepName
from pipelines.evaluate.report.published import DISTORTION
from pipelines.evaluate.report.tables import (
    COUNT_COLUMNS,
    NOT_GIVEN,
    OBJECT_COLUMNS,
    OBJECT_PLOTS,
    Aggregation,
    Row,
    Table,
    object_cells,
)

_TITLES: dict[SweepName, str] = {
    "alpha": "Robustness to distorted depth: share of estimated depth (supplement, table 1a)",
    "merged": "Robustness to merged masks: pairs of neighbouring instances, judged as one thing",
    "occlusion": "By occlusion of the object",
    "components": "By number of 8-connected components of the mask",
}


def sweep_table(sweep: SweepName, results: Sequence[SweepResult], aggregation: Aggregation) -> Table:
    """A row for each system and step."""
    return Table(
        name=f"sweep_{sweep}",
        title=_TITLES[sweep],
        head="system, step",
        columns=OBJECT_COLUMNS + COUNT_COLUMNS,
        rows=tuple(_row(result, aggregation) for result in results),
        notes=_notes(sweep),
        plotted=OBJECT_PLOTS,
    )


def _row(result: SweepResult, aggregation: Aggregation) -> Row:
    label, step = f"{result.system}, {result.step.label}", result.step
    if result.evaluation is None:
        assert step.condition is not None
        return Row(label, note=f"{NOT_GIVEN} (no folder {step.condition.variation})")
    judged = result.evaluation.only(step.keep) if step.keep else result.evaluation
    return Row(label, object_cells(judged, aggregation))


def _notes(sweep: SweepName) -> tuple[str, ...]:
    if sweep == "alpha":
        figures = "; ".join(
            f"alpha {one.alpha:g}: CD-O {one.chamfer}, F-O {one.f_score} %, IoU-B {one.box_iou}" for one in DISTORTION
        )
        return (f"Published for 3D-Fixer on the authors' own test set, which is another one: {figures}.",)
    if sweep == "merged":
        return (
            "Pairs of judged instances whose masks lie within 2 pixels, each instance in one pair at most, drawn with "
            "the seed. Both rows judge the same pairs, in the box of both objects; only the masks differ.",
        )
    return ()
