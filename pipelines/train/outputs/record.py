"""How a finished run was trained and on whose assets, from the records that its stages left."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipelines.names import STAGE_NAMES
from pipelines.train.loop.loop import ASSETS_FILE
from pipelines.train.outputs.metrics_log import METRICS_FILE
from pipelines.train.outputs.result import steps_of_result
from scenegen.contract.object_dataset import ObjectDataset

_SECONDS_AN_HOUR = 3600


def training_record(run_dir: Path, objects: Iterable[ObjectDataset]) -> dict[str, Any]:
    """As JSON: of each stage its steps, batch, hours and number of assets; then all assets that were trained on, by
    uid, and their licences.

    objects: the tables that the run was trained on, which know the licences.
    """
    stages, seen = {}, set[str]()
    for name in STAGE_NAMES:
        folder = run_dir / name
        if (folder / ASSETS_FILE).exists():
            config, assets = (json.loads((folder / file).read_text()) for file in ("config.json", ASSETS_FILE))
            trained_on = assets.get("train", [])
            stages[name] = {
                "steps": steps_of_result(folder),
                "batch_size": config["recipe"]["batch_size"],
                "hours": round(_hours(folder / METRICS_FILE, config["recipe"]["batch_size"]), 3),
                "assets": len(trained_on),
            }
            seen.update(trained_on)
    licence_of = {uid: licence for one in objects for uid, licence in _licences(one)}
    licences = sorted({licence_of[uid] for uid in seen if uid in licence_of})
    return {"stages": stages, "licences": licences, "assets": sorted(seen)}


def _licences(objects: ObjectDataset) -> Iterable[tuple[str, str]]:
    columns = objects.table("objects", ["asset_uid", "licence"]).to_pydict()
    return zip(columns["asset_uid"], columns["licence"], strict=True)


def _hours(metrics: Path, batch_size: int) -> float:
    """Of steps, without validations: by the speed that was logged every few steps."""
    done, seconds = 0, 0.0
    for line in map(json.loads, metrics.read_text().splitlines()):
        if line["kind"] == "train":
            seconds += (line["step"] - done) * batch_size / line["samples_per_s"]
            done = line["step"]
    return seconds / _SECONDS_AN_HOUR
