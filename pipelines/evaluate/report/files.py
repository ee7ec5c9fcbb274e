"""The report on disk: report.md, report.json, and a PNG for each table that has something to plot."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from pipelines.evaluate.judging.evaluation import Evaluation
from pipelines.evaluate.judging.judge import ObjectResult, SceneResult
from pipelines.evaluate.report.markdown import markdown
from pipelines.evaluate.report.plots import plot_table
from pipelines.evaluate.report.tables import Table

FORMAT = 1


def write_report(
    folder: Path,
    facts: Sequence[str],
    settings: Mapping[str, Any],
    tables: Sequence[Table],
    evaluations: Sequence[Evaluation],
) -> None:
    """Write the report into a folder. facts: lines at its head. settings: the command's, for the JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = [table.name for table in tables if plot_table(table, folder / f"{table.name}.png")]
    text = markdown("fixer-evaluate", facts, tables, pictures)
    (folder / "report.md").write_text(text)
    values = {
        "format": FORMAT,
        "settings": dict(settings),
        "facts": list(facts),
        "tables": [_table(table) for table in tables],
        "evaluations": [_evaluation(one) for one in evaluations],
    }
    (folder / "report.json").write_text(json.dumps(values, indent=1, default=str) + "\n")


def _table(table: Table) -> dict[str, Any]:
    rows = [
        {"label": row.label, "note": row.note, **{key: _plain(value) for key, value in row.cells.items()}}
        for row in table.rows
    ]
    return {"name": table.name, "title": table.title, "notes": list(table.notes), "rows": rows}


def _evaluation(one: Evaluation) -> dict[str, Any]:
    return {
        "system": one.system,
        "variation": one.condition.variation,
        "depth": str(one.condition.depth),
        "masks": one.condition.masks,
        "objects": [_result(result) for result in one.objects],
        "scenes": [_result(result) for result in one.scenes],
    }


def _result(result: ObjectResult | SceneResult) -> dict[str, Any]:
    """The fields of a result; penalised scores only if they differ from the others."""
    values = asdict(result)
    if result.scores == result.penalised:
        del values["penalised"]
    return values


def _plain(value: Any) -> Any:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
