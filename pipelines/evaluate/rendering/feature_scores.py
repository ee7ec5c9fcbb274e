"""Feature scores of a system over a test set: Fréchet distances and CLIP similarity, on visible and unseen views.

Pictures are drawn while views are judged, so that no system is asked twice; only their features are kept.
Shapes: B pictures, D features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from pipelines.evaluate.metrics.bootstrap import mean_with_interval
from pipelines.evaluate.records.shapes import Shape
from pipelines.evaluate.records.systems import SystemAnswer
from pipelines.evaluate.records.truth import TruthObject, TruthView
from pipelines.evaluate.rendering.features import Features
from pipelines.evaluate.rendering.frechet import frechet_distance
from pipelines.evaluate.rendering.views import (
    SIDES,
    CleanViews,
    Side,
    input_direction,
    prediction_picture,
    truth_picture,
)
from pipelines.evaluate.report.published import RENDERING
from pipelines.evaluate.report.tables import Cell, Column, Row, Table
from scenegen.contract.object_dataset import ObjectDataset

FeatureMetric = Literal["frechet", "fid", "clip"]
LABELS: Mapping[FeatureMetric, str] = {"frechet": "Fréchet EffNet-Lite0", "fid": "FID", "clip": "CLIP"}
NOTES = (
    "Against clean renders of the true objects, drawn from the same cameras on white. Visible: the 3 stored views "
    "nearest to the input's direction; unseen: the 3 nearest to the opposite side. Predictions in their own colours, "
    "unlit.",
    "Fréchet distances grow when there are few pictures; compare rows of one table only.",
    "Published for the authors' own test set (supplement, table 1b; their views are not stated): "
    + "; ".join(
        f"{one.system}: FID {one.fid_visible} / {one.fid_unseen}, CLIP {one.clip_visible} / {one.clip_unseen}"
        for one in RENDERING
    )
    + ".",
)


@dataclass(frozen=True, slots=True)
class _Pair:
    """One clean view: features of the picture of the truth and of that of the prediction, by metric."""

    side: Side
    scene: str
    truth: Mapping[FeatureMetric, Tensor]
    pred: Mapping[FeatureMetric, Tensor]


@dataclass
class FeatureScores:
    """The feature scores of one system. features: the networks, by metric.

    without_surface: how many objects were left out, because nothing, only points or no colours were predicted.
    """

    objects: ObjectDataset
    features: Mapping[FeatureMetric, Features]
    device: str = "cpu"
    without_surface: int = 0
    pairs: list[_Pair] = field(default_factory=list)
    _clean: dict[str, CleanViews] = field(default_factory=dict)
    _truth: dict[tuple[str, int], Mapping[FeatureMetric, Tensor]] = field(default_factory=dict)

    def empty_copy(self) -> FeatureScores:
        """One without scores, for another system; cameras and features of the truth are shared."""
        return FeatureScores(self.objects, self.features, self.device, _clean=self._clean, _truth=self._truth)

    def add(self, view: TruthView, answer: SystemAnswer) -> None:
        """Add one judged view."""
        shapes = {one.instance_id: one.shape for one in answer.predictions}
        for one in view.objects:
            shape = shapes.get(one.instance_id)
            if shape is None or not shape.is_surface or shape.colors_V3 is None:
                self.without_surface += 1
                continue
            self._add(view, one, shape)

    def row(self, label: str) -> Row:
        """The row of the system in the table."""
        cells: dict[str, Cell] = {"pictures": len(self.pairs) // len(SIDES), "left_out": self.without_surface}
        for side in SIDES:
            pairs = [pair for pair in self.pairs if pair.side == side]
            for metric in self.features if len(pairs) > 1 else ():
                cells[f"{metric}_{side}"] = _score(metric, pairs)
        return Row(label, cells) if self.pairs else Row(label, note="no coloured surface to draw")

    def rows(self, label: str) -> list[Row]:
        """The row of the system, as the one that it has."""
        return [self.row(label)]

    def table(self, rows: Sequence[Row]) -> Table:
        """The table of all systems' rows."""
        return render_table(rows, list(self.features))

    def _add(self, view: TruthView, one: TruthObject, shape: Shape) -> None:
        if one.asset_uid not in self._clean:
            self._clean[one.asset_uid] = CleanViews.of(self.objects, one.asset_uid)
        clean = self._clean[one.asset_uid]
        for side in SIDES:
            for index in clean.nearest(input_direction(one, view.T_world_cam, side)):
                drawn = prediction_picture(shape, one, clean.read(index), self.device)
                pair = _Pair(side, view.scene, self._truth_of(clean, index), self._features_of(drawn))
                self.pairs.append(pair)

    def _truth_of(self, clean: CleanViews, index: int) -> Mapping[FeatureMetric, Tensor]:
        key = (clean.uid, index)
        if key not in self._truth:
            self._truth[key] = self._features_of(truth_picture(clean.read(index)))
        return self._truth[key]

    def _features_of(self, picture_3SS: Tensor) -> Mapping[FeatureMetric, Tensor]:
        return {metric: features(picture_3SS[None])[0] for metric, features in self.features.items()}


def render_table(rows: Sequence[Row], metrics: Sequence[FeatureMetric]) -> Table:
    """A table with one row for each system."""
    columns = [
        Column(f"{metric}_{side}", f"{LABELS[metric]} {side}", "higher" if metric == "clip" else "lower", 2)
        for metric in metrics
        for side in SIDES
    ]
    columns += [Column("pictures", "pictures a side"), Column("left_out", "objects left out")]
    title = "Rendering, on visible and on unseen views"
    return Table("rendering", title, "system", tuple(columns), tuple(rows), NOTES)


def _score(metric: FeatureMetric, pairs: Sequence[_Pair]) -> Cell:
    truth_BD = torch.stack([pair.truth[metric] for pair in pairs]).double().numpy()
    pred_BD = torch.stack([pair.pred[metric] for pair in pairs]).double().numpy()
    if metric == "clip":
        similarity = 100 * (truth_BD * pred_BD).sum(axis=1)
        return mean_with_interval(similarity.tolist(), [pair.scene for pair in pairs], np.random.default_rng(0))
    return frechet_distance(truth_BD, pred_BD)
