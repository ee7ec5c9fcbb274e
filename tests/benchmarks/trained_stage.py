"""A stage of a finished run, as measuring scripts look at it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.encoders.registry import load_encoders
from pipelines.names import STAGE_NAMES
from pipelines.train.build_stages import stage_context
from pipelines.train.outputs.result import finished_stage
from pipelines.train.settings.config import TrainConfig
from pipelines.train.settings.initial_weights import StageInputs
from pipelines.train.stages.registry import make_stage


def trained_stage(name: Any, run_dir: Path, data: Sequence[str], objects: str | None, size: Any) -> Any:
    """With the results of all finished stages of the run. objects: tables of all data; None: beside each."""
    tables = (objects,) * len(data) if objects else ()
    config = TrainConfig(shards=tuple(data), objects=tables, size=size, encoders="efficientnet_lite0")
    results = [result for stage in STAGE_NAMES if (result := finished_stage(run_dir / stage))]
    weights = {network: place for result in results for network, place in result.networks.items()}
    known = StageInputs(weights, {result.stage: result.facts for result in results})
    return make_stage(name, stage_context(name, config, load_encoders(config.encoders), known))
