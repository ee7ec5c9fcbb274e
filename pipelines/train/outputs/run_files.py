"""What a run has written into its folder so far. Files that older versions did not write may be absent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.names import STAGE_NAMES
from pipelines.train.outputs.invocations import Invocation, read_invocations
from pipelines.train.outputs.metrics_log import METRICS_FILE, read_metrics
from pipelines.train.outputs.record import ASSETS_FILE, CONFIG_FILE
from pipelines.train.outputs.result import steps_of_result

Metrics = tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class StageFiles:
    """One stage of a run.

    finished_steps: of its result; 0 without one. config: config.json, {} without one.
    num_assets: by split. training, validation: lines of its log.
    snapshots: by name of the picture, its path from the run's folder by step, in order.
    """

    name: str
    finished_steps: int
    config: Mapping[str, Any]
    num_assets: Mapping[str, int]
    invocations: tuple[Invocation, ...]
    training: Metrics
    validation: Metrics
    snapshots: Mapping[str, Mapping[int, str]]

    @property
    def steps(self) -> int:
        """The steps that are done."""
        logged = (int(line["step"]) for lines in (self.training, self.validation) for line in lines[-1:])
        return self.finished_steps or max(logged, default=0)

    @classmethod
    def read(cls, folder: Path) -> StageFiles:
        lines = read_metrics(folder / METRICS_FILE)
        return cls(
            name=folder.name,
            finished_steps=steps_of_result(folder),
            config=_json(folder / CONFIG_FILE),
            num_assets={split: len(uids) for split, uids in _json(folder / ASSETS_FILE).items()},
            invocations=tuple(read_invocations(folder)),
            training=tuple(line for line in lines if line["kind"] == "train" and "loss" in line),
            validation=tuple(line for line in lines if line["kind"] == "validation"),
            snapshots=_snapshots(folder),
        )


def read_stages(run_dir: Path) -> list[StageFiles]:
    """The stages that were begun, in their order."""
    folders = [run_dir / name for name in STAGE_NAMES]
    return [StageFiles.read(folder) for folder in folders if (folder / METRICS_FILE).exists()]


def _json(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text()) if file.exists() else {}


def _snapshots(folder: Path) -> dict[str, dict[int, str]]:
    found: dict[str, dict[int, str]] = {}
    for file in sorted(folder.glob("snapshots/step-*/*.png")):
        step = int(file.parent.name.removeprefix("step-"))
        found.setdefault(file.stem, {})[step] = file.relative_to(folder.parent).as_posix()
    return found
