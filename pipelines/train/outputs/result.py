"""The result of a finished stage: its final (averaged) networks, and what was measured of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from pipelines.atomic import complete_folder
from pipelines.train.outputs.checkpoints import Networks
from pipelines.train.outputs.description import as_json, refuse_another

_FOLDER, _FILE = "result", "result.json"


@dataclass(frozen=True)
class StageResult:
    """A trained stage.

    networks: where its final networks (EMA) are, by name, in the official layout. facts: see `Stage.facts`.
    """

    stage: str
    networks: Mapping[str, Path]
    facts: Mapping[str, Any] = field(default_factory=dict)


def finished_stage(folder: Path, description: Mapping[str, Any] | None = None, steps: int = 0) -> StageResult | None:
    """The result in a stage's folder, or None without a result of at least `steps` steps.

    Raises UsageError if it was trained with another description than `description` (None accepts any).
    """
    file = folder / _FOLDER / _FILE
    if not file.exists():
        return None
    stored = json.loads(file.read_text())
    if description is not None:
        refuse_another(stored["description"], description, str(file.parent))
    if stored["step"] < steps:
        return None
    networks = {name: file.parent / name for name in stored["networks"]}
    return StageResult(stored["stage"], networks, stored["facts"])


def steps_of_result(folder: Path) -> int:
    """Steps of the result in a stage's folder: fewer than its config says if its time was over first; 0 without one."""
    file = folder / _FOLDER / _FILE
    return int(json.loads(file.read_text())["step"]) if file.exists() else 0


def write_result(
    folder: Path,
    stage: str,
    steps: int,
    networks: Networks,
    weights: Mapping[str, Tensor],
    facts: Mapping[str, Any],
    description: Mapping[str, Any],
) -> None:
    """Write FOLDER/result/ atomically. weights: whole trained parameters by their name in the module."""
    content = {
        "stage": stage,
        "step": steps,
        "networks": sorted(networks.by_name),
        "facts": as_json(facts),
        "description": description,
    }
    with complete_folder(folder / _FOLDER) as result:
        networks.write(result, weights)
        (result / _FILE).write_text(json.dumps(content, indent=1) + "\n")
