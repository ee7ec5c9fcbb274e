"""Tables as plots: a panel for each column, a mark for each row, whiskers for the 95 % interval."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pipelines.evaluate.metrics.bootstrap import Estimate
from pipelines.evaluate.report.tables import Column, Row, Table

_INK, _MARK, _GRID = "#23272e", "#2f6db3", "#d9dde3"
_PANEL_WIDTH_IN, _ROW_HEIGHT_IN, _MARGIN_IN, _LABEL_IN = 2.6, 0.34, 1.1, 2.4
_ARROWS = {"lower": "lower is better", "higher": "higher is better", "none": ""}


def plot_table(table: Table, path: Path) -> bool:
    """Write the table's plotted columns as a PNG; False, and nothing written, if no row has a value for them."""
    rows = [row for row in table.rows if any(isinstance(row.cells.get(key), Estimate) for key in table.plotted)]
    columns = [column for column in table.columns if column.key in table.plotted]
    if not rows or not columns:
        return False
    size = (_LABEL_IN + _PANEL_WIDTH_IN * len(columns), _MARGIN_IN + _ROW_HEIGHT_IN * len(rows))
    figure = Figure(figsize=size, dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    for panel, column in zip(panels, columns, strict=True):
        _draw(panel, column, rows)
    panels[0].set_yticks(range(len(rows)), [row.label for row in rows], fontsize=8, color=_INK)
    panels[0].set_ylim(len(rows) - 0.5, -0.5)
    figure.suptitle(table.title, fontsize=9, color=_INK)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return True


def _draw(panel: Any, column: Column, rows: list[Row]) -> None:
    for position, row in enumerate(rows):
        value = row.cells.get(column.key)
        if not isinstance(value, Estimate):
            continue
        if value.low is not None and value.high is not None:
            panel.plot([value.low, value.high], [position] * 2, color=_MARK, linewidth=1.5, alpha=0.6)
        panel.plot(value.mean, position, "o", color=_MARK, markersize=5)
        text = f"{value.mean:{'+' if column.signed else ''}.{column.digits}f}"
        panel.annotate(text, (value.mean, position), (0, 5), textcoords="offset points", ha="center", fontsize=6)
    if column.signed:
        panel.axvline(0, color=_INK, linewidth=0.8)
    panel.set_title(column.label, fontsize=8, color=_INK)
    panel.set_xlabel(_ARROWS[column.better], fontsize=6, color=_INK)
    panel.tick_params(labelsize=6, length=0)
    panel.grid(axis="x", color=_GRID, linewidth=0.6)
    panel.margins(x=0.15)
    for side in ("top", "right", "left"):
        panel.spines[side].set_visible(False)
