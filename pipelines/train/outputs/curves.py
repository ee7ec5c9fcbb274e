"""The training curves of a stage as one picture, drawn from its metrics file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.train.optimisation.metrics import NUM_TIME_BINS
from pipelines.train.outputs.metrics_log import read_metrics

_COLUMNS, _PANEL_INCHES, _DPI = 3, (4.2, 3.0), 100
_NOT_MEASURES = {"kind", "step", "time", "loss"}
_SMOOTHING = 0.9

Lines = Sequence[Mapping[str, Any]]


def draw_curves(metrics_file: Path, target: Path, title: str) -> None:
    """Loss in training and validation, loss by t, gradient norm, and a panel for every measure, as a PNG file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lines = read_metrics(metrics_file)
    train = [line for line in lines if line["kind"] == "train" and "loss" in line]
    validation = [line for line in lines if line["kind"] == "validation"]
    panels = _panels(train, validation)
    if not panels:
        return
    rows = -(-len(panels) // _COLUMNS)
    figure = Figure((_PANEL_INCHES[0] * _COLUMNS, _PANEL_INCHES[1] * rows), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    for index, (name, draw) in enumerate(panels.items()):
        axes = figure.add_subplot(rows, _COLUMNS, index + 1)
        axes.set_title(name, fontsize="medium")
        axes.grid(alpha=0.3)
        draw(axes)
    figure.savefig(target)


def _panels(train: Lines, validation: Lines) -> dict[str, Callable[[Any], None]]:
    panels: dict[str, Callable[[Any], None]] = {}
    if train or validation:
        panels["loss"] = lambda axes: _draw_loss(axes, train, validation)
    if any(by_time(line) for line in validation):
        panels["validation loss by t"] = lambda axes: _draw_by_time(axes, validation)
    if train:
        panels["gradient norm"] = lambda axes: _draw_gradient(axes, train)
    for name, shown in families(validation).items():
        panels[name] = _measure(shown, train, validation)
    return panels


def families(validation: Lines) -> dict[str, list[str]]:
    """Measures by panel: those whose names begin with that of another (iou, iou_visible_only) share its panel."""
    families: dict[str, list[str]] = {}
    for name in sorted({name for line in validation for name in line} - _NOT_MEASURES):
        if not name.startswith("loss_t"):
            family = next((head for head in families if name.startswith(f"{head}_")), name)
            families.setdefault(family, []).append(name)
    return families


def _draw_loss(axes: Any, train: Lines, validation: Lines) -> None:
    steps, losses = series(train, "loss")
    axes.plot(steps, losses, color="C0", alpha=0.3, linewidth=0.8)
    axes.plot(steps, smooth(losses), color="C0", label="training, smoothed")
    axes.plot(*series(validation, "loss"), "o-", color="C1", markersize=3, label="held-out assets")
    if np.all(losses > 0):
        axes.set_yscale("log")
    axes.set_xlabel("step")
    axes.legend(fontsize="small")


def _draw_by_time(axes: Any, validation: Lines) -> None:
    """The first, middle and last validation, which show at which t the network still learns."""
    centres = (np.arange(NUM_TIME_BINS) + 0.5) / NUM_TIME_BINS
    chosen = {0: "C7", len(validation) // 2: "C9", len(validation) - 1: "C1"}
    for index, colour in chosen.items():
        bins = by_time(validation[index])
        places = [centres[b] for b in bins]
        axes.plot(places, list(bins.values()), "o-", color=colour, label=f"step {validation[index]['step']}")
    axes.set_xlabel("t (1 is noise)")
    axes.legend(fontsize="small")


def _draw_gradient(axes: Any, train: Lines) -> None:
    axes.plot(*series(train, "gradient_norm"), color="C2", linewidth=0.8, label="norm")
    axes.plot(*series(train, "clip_limit"), color="C3", linewidth=0.8, label="clipped to")
    axes.set_yscale("log")
    axes.set_xlabel("step")
    axes.legend(fontsize="small")


def _measure(names: Sequence[str], train: Lines, validation: Lines) -> Callable[[Any], None]:
    """A function that draws measures, with the training curve of the first one where it is logged.

    Names after the first are labelled by what they add to it.
    """

    def draw(axes: Any) -> None:
        first = names[0]
        if any(first in line for line in train):
            steps, values = series(train, first)
            axes.plot(steps, smooth(values), color="C0")
        for index, name in enumerate(names):
            label = name.removeprefix(f"{first}_").replace("_", " ") if index else "held-out assets"
            axes.plot(*series(validation, name), "o-", color=f"C{index + 1}", markersize=3, label=label)
        if len(names) > 1:
            axes.legend(fontsize="small")
        axes.set_xlabel("step")

    return draw


def series(lines: Lines, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values of a measure, where it was logged."""
    found = [(line["step"], line[name]) for line in lines if name in line]
    steps, values = np.array(found, dtype=float).reshape(-1, 2).T
    return steps, values


def by_time(line: Mapping[str, Any]) -> dict[int, float]:
    """The loss of each bin of t that a line has."""
    names = {bin_: f"loss_t{bin_ / NUM_TIME_BINS:.1f}" for bin_ in range(NUM_TIME_BINS)}
    return {bin_: line[name] for bin_, name in names.items() if name in line}


def smooth(values: np.ndarray) -> np.ndarray:
    """Exponential moving average with bias correction."""
    means, mean, weight = np.empty_like(values), 0.0, 0.0
    for index, value in enumerate(values):
        mean = _SMOOTHING * mean + (1 - _SMOOTHING) * value
        weight = _SMOOTHING * weight + (1 - _SMOOTHING)
        means[index] = mean / weight
    return means
