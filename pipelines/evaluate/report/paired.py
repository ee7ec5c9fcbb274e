"""Systems against baselines, object by object: whether a difference is more than chance.

Both are judged on the same objects, so that their differences vary less than their means. Intervals are those of the
differences (paired bootstrap over scenes). Missing predictions count with their penalty on either side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from pipelines.evaluate.judging.evaluation import Evaluation, scores_of
from pipelines.evaluate.judging.judge import ObjectResult
from pipelines.evaluate.metrics.bootstrap import mean_with_interval, ratio_with_interval
from pipelines.evaluate.report.tables import Better, Cell, Column, Row, Table

Keep = Callable[[ObjectResult], bool]

_SCORES: Mapping[str, tuple[str, Better, int]] = {
    "f_score": ("F-O %", "higher", 2),
    "chamfer": ("CD-O", "lower", 4),
    "voxel_iou": ("IoU-V", "higher", 3),
}
_RATIO = "chamfer_ratio"
_COLUMNS = (
    *(Column(key, f"Δ {label}", better, digits, signed=True) for key, (label, better, digits) in _SCORES.items()),
    Column(_RATIO, "CD-O ratio", "lower"),
    Column("objects", "objects"),
)
_NOTE = (
    "System minus baseline of the same objects, means; the ratio is of the means. Brackets: 95 % paired bootstrap over "
    "scenes; an interval without 0 (of the ratio: without 1) is a difference. Missing predictions count."
)


def best_baselines(baselines: Sequence[Evaluation]) -> dict[str, Evaluation]:
    """Score to the baseline with the best penalised mean. baselines: at least one, with objects."""
    best = {}
    for key, (_, better, _) in _SCORES.items():
        sign = 1 if better == "higher" else -1
        best[key] = max(baselines, key=lambda one: sign * _mean(one, key))
    return best


def paired_table(given: Sequence[Evaluation], baselines: Sequence[Evaluation], seed: int) -> Table:
    """A row for each system and baseline; with several baselines, one more for the best baseline of each score."""
    best = best_baselines(baselines)
    rows = []
    for ours in given:
        for other in baselines:
            against = dict.fromkeys(_SCORES, other)
            rows.append(Row(f"{ours.system} against {other.system}", _cells(ours, against, seed)))
        if len(baselines) > 1:
            rows.append(Row(f"{ours.system} against the best of each score", _cells(ours, best, seed)))
    return Table(
        name="paired",
        title="Systems against baselines, object by object",
        head="system against baseline",
        columns=_COLUMNS,
        rows=tuple(rows),
        notes=(_NOTE, _named(best)),
        plotted=tuple(_SCORES),
    )


def paired_by_step(
    given: Sequence[Evaluation], baselines: Sequence[Evaluation], steps: Sequence[tuple[str, Keep]], seed: int
) -> Table:
    """The gain over the best baseline of each score, within parts of the objects; it is the best over all objects.

    steps: the label of each part, and which objects belong to it.
    """
    best = best_baselines(baselines)
    rows = [
        Row(f"{ours.system}, {label}", _cells(ours.only(keep), best, seed)) for ours in given for label, keep in steps
    ]
    return Table(
        name="paired_occlusion",
        title="Gain over the best baseline, by occlusion of the object",
        head="system, occlusion",
        columns=_COLUMNS,
        rows=tuple(rows),
        notes=(_NOTE, _named(best)),
        plotted=tuple(_SCORES),
    )


def _cells(ours: Evaluation, against: Mapping[str, Evaluation], seed: int) -> dict[str, Cell]:
    """against: score to the evaluation that it is compared with."""
    cells: dict[str, Cell] = {"objects": len(ours.objects)}
    for key, other in against.items():
        own, others, scenes = _pairs(ours, other, key)
        differences = (np.array(own) - np.array(others)).tolist()
        cells[key] = mean_with_interval(differences, scenes, np.random.default_rng(seed))
        if key == "chamfer":
            cells[_RATIO] = ratio_with_interval(own, others, scenes, np.random.default_rng(seed))
    return cells


def _pairs(ours: Evaluation, other: Evaluation, key: str) -> tuple[list[float], list[float], list[str]]:
    """Penalised scores of the same targets of the same views, and their scenes."""
    theirs = {(one.key, one.target): getattr(one.penalised, key) for one in other.objects}
    common = [one for one in ours.objects if (one.key, one.target) in theirs]
    own = [getattr(one.penalised, key) for one in common]
    return own, [theirs[one.key, one.target] for one in common], [one.scene for one in common]


def _mean(one: Evaluation, key: str) -> float:
    values, _ = scores_of(one.objects, key, penalised=True)
    return float(np.mean(values))


def _named(best: Mapping[str, Evaluation]) -> str:
    each = [f"{_SCORES[key][0]}: {one.system} ({_mean(one, key):.{_SCORES[key][2]}f})" for key, one in best.items()]
    return f"Best baseline, by its mean over all objects: {'; '.join(each)}."
