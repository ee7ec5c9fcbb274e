"""Tables as data: built from evaluations, written as Markdown, JSON and plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from pipelines.evaluate.evaluation import Evaluation, scores_of
from pipelines.evaluate.metrics.bootstrap import Estimate, mean_with_interval
from pipelines.evaluate.report import paper

Better = Literal["lower", "higher", "none"]
Cell = Estimate | int | float | None
NOT_GIVEN = "not given"

_MIDI_SECONDS = (5.0, 100.0)  # the open interval over which MIDI's script averages times


@dataclass(frozen=True, slots=True)
class Column:
    """key: in the JSON. digits: after the point. better: the direction of the arrow.

    signed: a difference, written with its sign and drawn beside zero.
    """

    key: str
    label: str
    better: Better = "none"
    digits: int = 3
    signed: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """cells: column key to a value; a missing key is a dash. note: stands in place of the cells when there are none."""

    label: str
    cells: Mapping[str, Cell] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """name: of its plot and JSON entry. head: of the first column. notes: what a reader must know to read it right.

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
class Reading:
    """How evaluations become figures.

    penalised: missing predictions count. thresholds: of the scenes' F-scores. seed: of the bootstrap.
    midi_times: average times as MIDI's script does, only views that took between 5 and 100 s.
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
    """Chamfer and F-score of whole scenes, one F-score a threshold."""
    f_scores = [Column(f"scene_f_score_{t:g}", f"F-S@{t:g} %", "higher", 2) for t in thresholds]
    return (Column("scene_chamfer", "CD-S m", "lower", 4), *f_scores)


def object_cells(one: Evaluation, reading: Reading) -> dict[str, Cell]:
    """Object scores with intervals, and how many objects they are of."""
    cells: dict[str, Cell] = {}
    for column in OBJECT_COLUMNS:
        values, groups = scores_of(one.objects, column.key, reading.penalised)
        cells[column.key] = mean_with_interval(values, groups, np.random.default_rng(reading.seed))
    return {**cells, "objects": len(one.objects), "missing": one.missing}


def scene_cells(one: Evaluation, reading: Reading) -> dict[str, Cell]:
    """Scene scores with intervals."""
    pairs = [(scene.penalised if reading.penalised else scene.scores, scene.scene) for scene in one.scenes]
    known = [(scores, group) for scores, group in pairs if scores is not None]
    groups = [group for _, group in known]

    def mean(values: list[float]) -> Estimate | None:
        return mean_with_interval(values, groups, np.random.default_rng(reading.seed))

    cells: dict[str, Cell] = {"scene_chamfer": mean([scores.chamfer for scores, _ in known])}
    for index, threshold in enumerate(reading.thresholds):
        cells[f"scene_f_score_{threshold:g}"] = mean([scores.f_scores[index] for scores, _ in known])
    return cells


def seconds_cell(one: Evaluation, reading: Reading) -> float | None:
    """Mean seconds a view; None when no view says."""
    seconds = [scene.seconds for scene in one.scenes if scene.seconds is not None]
    if reading.midi_times:
        seconds = [s for s in seconds if _MIDI_SECONDS[0] < s < _MIDI_SECONDS[1]]
    return float(np.mean(seconds)) if seconds else None


def system_rows(given: Mapping[str, Sequence[Row]]) -> list[Row]:
    """The rows of every system of the paper, by option name; one that says so where nothing was given."""
    return [row for name, label in paper.SYSTEMS.items() for row in given.get(name, [Row(label, note=NOT_GIVEN)])]


def comparison(given: Mapping[str, Evaluation], others: Sequence[Evaluation], reading: Reading) -> Table:
    """Every system of the paper, then the baselines. given: option name of a system to its evaluation."""
    with_objects = any(one.objects for one in (*given.values(), *others))
    columns = scene_columns(reading.thresholds) + (OBJECT_COLUMNS + COUNT_COLUMNS if with_objects else ())
    columns += (Column("views", "views"), Column("seconds", "T-S s", "lower", 2))

    def row(one: Evaluation) -> Row:
        cells = scene_cells(one, reading) | object_cells(one, reading)
        return Row(one.system, {**cells, "views": one.views, "seconds": seconds_cell(one, reading)})

    rows = system_rows({name: [row(one)] for name, one in given.items()}) + [row(one) for one in others]
    scene_plots = ("scene_chamfer", f"scene_f_score_{reading.thresholds[0]:g}")
    return Table(
        name="penalised" if reading.penalised else "released",
        title="Missing predictions count" if reading.penalised else "Missing predictions left out, as released",
        head="system",
        columns=columns,
        rows=tuple(rows),
        plotted=scene_plots + (OBJECT_PLOTS if with_objects else ()),
    )
