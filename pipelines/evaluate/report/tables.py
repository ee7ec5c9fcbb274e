"""Tables as data: made from evaluations here, written as Markdown, JSON and plots elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from pipelines.evaluate.judging.evaluation import Evaluation, scores_of
from pipelines.evaluate.metrics.bootstrap import Estimate, mean_with_interval
from pipelines.evaluate.records.systems import SYSTEMS

Better = Literal["lower", "higher", "none"]
Cell = Estimate | int | float | None
NOT_GIVEN = "not given"

_MIDI_SECONDS = (5.0, 100.0)  # the open interval over which MIDI's script averages times


@dataclass(frozen=True, slots=True)
class Column:
    """key: its name in the JSON. digits: after the decimal point. better: the direction of the arrow.

    signed: a difference, written with its sign and drawn beside zero.
    """

    key: str
    label: str
    better: Better = "none"
    digits: int = 3
    signed: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """cells: column key to value; a missing one is shown as a dash. note: is shown when there are no cells."""

    label: str
    cells: Mapping[str, Cell] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """name: of its plot and JSON entry. head: of the first column. notes: what a reader must know to interpret it.

    plotted: columns worth a plot.
    """

    name: str
    title: str
    head: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    plotted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Aggregation:
    """How the results of an evaluation become figures.

    penalised: missing predictions count. thresholds: of the scenes' F-scores. seed: of the bootstrap.
    midi_times: average seconds as MIDI's script does, over views that took between 5 and 100 s only.
    """

    penalised: bool = False
    thresholds: tuple[float, ...] = (0.1,)
    seed: int = 0
    midi_times: bool = False


OBJECT_COLUMNS = (
    Column("chamfer", "CD-O", "lower", 4),
    Column("f_score", "F-O %", "higher", 2),
    Column("box_iou", "IoU-B", "higher"),
    Column("voxel_iou", "IoU-V", "higher"),
    Column("normal_consistency", "NC", "higher"),
)
COUNT_COLUMNS = (Column("objects", "objects"), Column("missing", "missing"))
OBJECT_PLOTS = ("chamfer", "f_score", "box_iou")


def scene_columns(thresholds: Sequence[float]) -> tuple[Column, ...]:
    """Chamfer distance and F-scores of whole scenes, one F-score for each threshold."""
    f_scores = [Column(f"scene_f_score_{t:g}", f"F-S@{t:g} %", "higher", 2) for t in thresholds]
    return (Column("scene_chamfer", "CD-S m", "lower", 4), *f_scores)


def object_cells(one: Evaluation, aggregation: Aggregation) -> dict[str, Cell]:
    """Object scores with intervals, and the number of objects."""
    cells: dict[str, Cell] = {}
    for column in OBJECT_COLUMNS:
        values, groups = scores_of(one.objects, column.key, aggregation.penalised)
        cells[column.key] = mean_with_interval(values, groups, np.random.default_rng(aggregation.seed))
    return {**cells, "objects": len(one.objects), "missing": one.missing}


def scene_cells(one: Evaluation, aggregation: Aggregation) -> dict[str, Cell]:
    """Scene scores with intervals."""
    pairs = [(scene.penalised if aggregation.penalised else scene.scores, scene.scene) for scene in one.scenes]
    known = [(scores, group) for scores, group in pairs if scores is not None]
    groups = [group for _, group in known]

    def mean(values: list[float]) -> Estimate | None:
        return mean_with_interval(values, groups, np.random.default_rng(aggregation.seed))

    cells: dict[str, Cell] = {"scene_chamfer": mean([scores.chamfer for scores, _ in known])}
    for index, threshold in enumerate(aggregation.thresholds):
        cells[f"scene_f_score_{threshold:g}"] = mean([scores.f_scores[index] for scores, _ in known])
    return cells


def seconds_cell(one: Evaluation, aggregation: Aggregation) -> float | None:
    """Mean seconds per view; None when no view has any."""
    seconds = [scene.seconds for scene in one.scenes if scene.seconds is not None]
    if aggregation.midi_times:
        seconds = [s for s in seconds if _MIDI_SECONDS[0] < s < _MIDI_SECONDS[1]]
    return float(np.mean(seconds)) if seconds else None


def system_rows(given: Mapping[str, Sequence[Row]]) -> list[Row]:
    """The rows of every system of the paper; one that says so for a system that was not given.

    given: option name of a system to its rows.
    """
    return [row for name, label in SYSTEMS.items() for row in given.get(name, [Row(label, note=NOT_GIVEN)])]


def comparison(given: Mapping[str, Evaluation], others: Sequence[Evaluation], aggregation: Aggregation) -> Table:
    """Every system of the paper, then the baselines. given: option name of a system to its evaluation."""
    with_objects = any(one.objects for one in (*given.values(), *others))
    columns = scene_columns(aggregation.thresholds) + (OBJECT_COLUMNS + COUNT_COLUMNS if with_objects else ())
    columns += (Column("views", "views"), Column("seconds", "T-S s", "lower", 2))

    def row(one: Evaluation) -> Row:
        cells = scene_cells(one, aggregation) | object_cells(one, aggregation)
        return Row(one.system, {**cells, "views": one.views, "seconds": seconds_cell(one, aggregation)})

    rows = system_rows({name: [row(one)] for name, one in given.items()}) + [row(one) for one in others]
    scene_plots = ("scene_chamfer", f"scene_f_score_{aggregation.thresholds[0]:g}")
    return Table(
        name="penalised" if aggregation.penalised else "released",
        title="Missing predictions count" if aggregation.penalised else "Missing predictions left out, as released",
        head="system",
        columns=columns,
        rows=tuple(rows),
        plotted=scene_plots + (OBJECT_PLOTS if with_objects else ()),
    )
