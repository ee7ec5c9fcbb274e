"""Tables as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.evaluate.metrics.bootstrap import Estimate
from pipelines.evaluate.report.tables import Column, Row, Table

_ARROWS = {"lower": " ↓", "higher": " ↑", "none": ""}


def markdown(title: str, facts: Sequence[str], tables: Sequence[Table], pictures: Sequence[str]) -> str:
    """The whole report. facts: what was judged and how, one line each. pictures: names of the tables with a plot."""
    parts = [f"# {title}", "\n".join(f"* {fact}" for fact in facts)]
    for table in tables:
        parts.append(table_markdown(table))
        if table.name in pictures:
            parts.append(f"![{table.title}]({table.name}.png)")
    return "\n\n".join(parts) + "\n"


def table_markdown(table: Table) -> str:
    """Title, grid and notes of one table; means with their 95 % interval, if they have one."""
    head = [table.head, *(column.label + _ARROWS[column.better] for column in table.columns)]
    lines = [_line(head), _line(["---"] + ["---:"] * len(table.columns))]
    lines += [_line([row.label, *_cells(row, table.columns)]) for row in table.rows]
    notes = ["", *(f"* {note}" for note in table.notes)] if table.notes else []
    return "\n".join([f"## {table.title}", "", *lines, *notes])


def _cells(row: Row, columns: Sequence[Column]) -> list[str]:
    if row.note:
        return [row.note] + [""] * (len(columns) - 1)
    return [_cell(row.cells.get(column.key), column) for column in columns]


def _cell(value: Estimate | int | float | None, column: Column) -> str:
    form = f"{'+' if column.signed else ''}.{column.digits}f"
    if value is None:
        return "–"
    if isinstance(value, Estimate):
        interval = "" if value.low is None else f" [{value.low:{form}}, {value.high:{form}}]"
        return f"{value.mean:{form}}{interval}"
    return str(value) if isinstance(value, int) else f"{value:{form}}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
