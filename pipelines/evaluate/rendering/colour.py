"""Colour scores: PSNR against clean renders, of the predicted colours and of one mean colour on the same shape.

The difference says what the predicted colours are worth. Cameras and sides are those of `views.py`.
Shapes: S edge of a picture, V vertices, P pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from pipelines.evaluate.metrics.bootstrap import mean_with_interval
from pipelines.evaluate.records.shapes import Shape
from pipelines.evaluate.records.systems import SystemAnswer
from pipelines.evaluate.records.truth import TruthObject, TruthView
from pipelines.evaluate.rendering.views import (
    SIDES,
    CleanViews,
    Side,
    input_direction,
    picture_and_mask,
    truth_mask,
    truth_picture,
)
from pipelines.evaluate.report.tables import Cell, Column, Row, Table
from scenegen.contract.object_dataset import ObjectDataset

MOST_DB = 60.0
"""The highest PSNR that counts. Equal pictures have an infinite one, and so would every mean that includes them."""
_COLUMNS = (
    *(Column(f"shared_{side}", f"PSNR {side} dB", "higher", 2) for side in SIDES),
    *(Column(f"gain_{side}", f"gain over one colour {side} dB", "higher", 2, signed=True) for side in SIDES),
    *(Column(f"union_{side}", f"PSNR on white {side} dB", "higher", 2) for side in SIDES),
    Column("pictures", "pictures a side"),
    Column("left_out", "objects left out"),
)
_NOTES = (
    "PSNR: where truth and prediction both show the object. PSNR on white: over both silhouettes together, so that "
    "shape counts as well. Means over pictures; clean renders and views as for the other rendering figures.",
    "One mean colour: the system's own shapes, all in the mean colour of the instance's pixels in the image. Gain: own "
    "colours minus that, of the same pictures, paired. Brackets: 95 % bootstrap over scenes.",
    "Left out: objects without a prediction, or with only points. A surface without colours has no figures of its own.",
)


@dataclass(frozen=True, slots=True)
class _Psnr:
    """In dB. shared: where both silhouettes overlap. union: over both, on the background. None: no such pixels."""

    shared: float | None = None
    union: float | None = None

    @classmethod
    def of(cls, pred_3SS: Tensor, pred_SS: Tensor, truth_3SS: Tensor, truth_SS: Tensor) -> _Psnr:
        masks = (pred_SS & truth_SS, pred_SS | truth_SS)
        return cls(*(psnr(pred_3SS[:, one], truth_3SS[:, one]) if bool(one.any()) else None for one in masks))


@dataclass(frozen=True, slots=True)
class _Picture:
    """One clean view. own: the prediction in its own colours, empty without any. mean: the same in one mean colour."""

    side: Side
    scene: str
    own: _Psnr
    mean: _Psnr


@dataclass
class ColourScores:
    """The colour scores of one system. left_out: how many objects had no surface to draw."""

    objects: ObjectDataset
    device: str = "cpu"
    left_out: int = 0
    pictures: list[_Picture] = field(default_factory=list)
    _clean: dict[str, CleanViews] = field(default_factory=dict)

    def empty_copy(self) -> ColourScores:
        """One without scores, for another system; the cameras of the clean views are shared."""
        return ColourScores(self.objects, self.device, _clean=self._clean)

    def add(self, view: TruthView, answer: SystemAnswer) -> None:
        """Add one judged view."""
        shapes = {one.instance_id: one.shape for one in answer.predictions}
        for one in view.objects:
            shape = shapes.get(one.instance_id)
            if shape is None or not shape.is_surface:
                self.left_out += 1
                continue
            self._add(view, one, shape)

    def rows(self, label: str) -> list[Row]:
        """The rows of the system: in its own colours, then in one mean colour."""
        if not self.pictures:
            return [Row(label, note="no surface to draw")]
        counts: dict[str, Cell] = {"pictures": len(self.pictures) // len(SIDES), "left_out": self.left_out}
        own, one_colour = dict(counts), dict(counts)
        for side in SIDES:
            of_side = [one for one in self.pictures if one.side == side]
            scenes = [one.scene for one in of_side]
            own[f"shared_{side}"] = _mean([one.own.shared for one in of_side], scenes)
            own[f"union_{side}"] = _mean([one.own.union for one in of_side], scenes)
            own[f"gain_{side}"] = _mean([_gain(one) for one in of_side], scenes)
            one_colour[f"shared_{side}"] = _mean([one.mean.shared for one in of_side], scenes)
            one_colour[f"union_{side}"] = _mean([one.mean.union for one in of_side], scenes)
        return [Row(label, own), Row(f"{label}, in one mean colour", one_colour)]

    def table(self, rows: Sequence[Row]) -> Table:
        """The table of all systems' rows."""
        title = "Colour, on visible and on unseen views"
        return Table("colour", title, "system", _COLUMNS, tuple(rows), _NOTES, ("shared_visible", "shared_unseen"))

    def _add(self, view: TruthView, one: TruthObject, shape: Shape) -> None:
        if one.asset_uid not in self._clean:
            self._clean[one.asset_uid] = CleanViews.of(self.objects, one.asset_uid)
        clean = self._clean[one.asset_uid]
        seen_3 = view.rgb_HW3[view.instance_HW == one.instance_id].mean(axis=0)
        one_colour_V3 = np.tile(seen_3, (len(shape.vertices_V3), 1))
        own_V3 = one_colour_V3 if shape.colors_V3 is None else shape.colors_V3
        for side in SIDES:
            for index in clean.nearest(input_direction(one, view.T_world_cam, side)):
                true = clean.read(index)
                paints = np.stack([own_V3, one_colour_V3])
                painted_23SS, mask_SS = picture_and_mask(shape, paints, one, true, self.device)
                picture, silhouette = truth_picture(true), truth_mask(true)
                own, mean = (_Psnr.of(drawn, mask_SS, picture, silhouette) for drawn in painted_23SS)
                known = own if shape.colors_V3 is not None else _Psnr()
                self.pictures.append(_Picture(side, view.scene, known, mean))


def psnr(pred_3P: Tensor, truth_3P: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of colours in [0, 1], at most MOST_DB."""
    error = float(((pred_3P.double() - truth_3P.double()) ** 2).mean())
    return min(-10 * float(np.log10(max(error, 1e-12))), MOST_DB)


def _gain(one: _Picture) -> float | None:
    if one.own.shared is None or one.mean.shared is None:
        return None
    return one.own.shared - one.mean.shared


def _mean(values: Sequence[float | None], scenes: Sequence[str]) -> Cell:
    known = [(value, scene) for value, scene in zip(values, scenes, strict=True) if value is not None]
    return mean_with_interval([v for v, _ in known], [s for _, s in known], np.random.default_rng(0))
