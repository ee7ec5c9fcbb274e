"""The report of `fixer-evaluate` as a small table. It is read as data, because scenegen does not import pipelines."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scenegen.errors import UsageError

REPORT = "report.json"


@dataclass(frozen=True, slots=True)
class Figure:
    """A column of the table. key: of the report. digits: after the decimal point."""

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
"""The columns of a comparison; those that no row has are left out. The report itself has more."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table. cells: the text of each column. ranges: its 95 % interval, empty if there is none."""

    label: str
    cells: tuple[str, ...]
    ranges: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The first table of a report: the systems that were evaluated. facts: lines about what was evaluated, and how."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    facts: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def read_comparison(folder: Path) -> Comparison:
    """Read the report in a folder. Raises UsageError if it is no report of fixer-evaluate."""
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
    """A number, or the mean of an estimate, as text; a dash for None."""
    number = value["mean"] if isinstance(value, dict) else value
    return "–" if number is None else f"{number:.{digits}f}"


def _range(value: Any, digits: int) -> str:
    if not isinstance(value, dict) or value["low"] is None:
        return ""
    return f"{value['low']:.{digits}f} to {value['high']:.{digits}f}"
