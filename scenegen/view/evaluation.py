"""The report of `fixer-evaluate` as a small table; read as data, since scenegen knows no pipelines."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scenegen.errors import UsageError

REPORT = "report.json"


@dataclass(frozen=True, slots=True)
class Figure:
    """A column. key: in the report. digits: after the point."""

    key: str
    label: str
    digits: int = 0


FIGURES = (
    Figure("scene_chamfer", "CD-S m ↓", 4),
    Figure("scene_f_score_0.1", "F-S@0.1 % ↑", 1),
    Figure("chamfer", "CD-O ↓", 4),
    Figure("f_score", "F-O % ↑", 1),
    Figure("box_iou", "IoU-B ↑", 3),
    Figure("objects", "objects"),
    Figure("missing", "missing"),
    Figure("views", "views"),
    Figure("seconds", "T-S s", 1),
)
"""What is shown of a comparison, where any of its rows has it; the report itself has more."""


@dataclass(frozen=True, slots=True)
class Row:
    """cells: as text, one a column; ranges: the 95 % interval of each, empty where there is none."""

    label: str
    cells: tuple[str, ...]
    ranges: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The first table of a report, of the systems that were judged. facts: what was judged and how, a line each."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    facts: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def read_comparison(folder: Path) -> Comparison:
    """Raises UsageError for what is no report of fixer-evaluate."""
    path = folder / REPORT
    try:
        report = json.loads(path.read_text())
        table = report["tables"][0]
        judged = [row for row in table["rows"] if not row.get("note")]
        figures = [figure for figure in FIGURES if any(row.get(figure.key) is not None for row in judged)]
        return Comparison(
            title=table["title"],
            columns=tuple(figure.label for figure in figures),
            rows=tuple(_row(row, figures) for row in judged),
            facts=tuple(report["facts"]),
        )
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        what = f"{path} is no report of fixer-evaluate ({type(error).__name__}: {error})"
        raise UsageError(f"{what}; make it again with fixer-evaluate --out {folder}") from error


def _row(row: dict[str, Any], figures: list[Figure]) -> Row:
    values = [row.get(figure.key) for figure in figures]
    return Row(
        label=row["label"],
        cells=tuple(_text(value, figure.digits) for value, figure in zip(values, figures, strict=True)),
        ranges=tuple(_range(value, figure.digits) for value, figure in zip(values, figures, strict=True)),
    )


def _text(value: Any, digits: int) -> str:
    """A number, or the mean of an estimate; a dash for nothing."""
    number = value["mean"] if isinstance(value, dict) else value
    return "–" if number is None else f"{number:.{digits}f}"


def _range(value: Any, digits: int) -> str:
    if not isinstance(value, dict) or value["low"] is None:
        return ""
    return f"{value['low']:.{digits}f} to {value['high']:.{digits}f}"
