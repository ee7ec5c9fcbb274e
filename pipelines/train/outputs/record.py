"""How a run was trained and on which assets: each stage records it, and the pipeline's record is read from that.

STAGE/config.json     what decides the stage's result, with a digest, and the steps that were asked for
STAGE/assets.json     uids of the assets that it is trained on, and of those that validate it
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipelines.atomic import write_text
from pipelines.names import STAGE_NAMES
from pipelines.train.interfaces.loading import NamesAssets, Split
from pipelines.train.interfaces.stage import Stage
from pipelines.train.outputs.description import digest
from pipelines.train.outputs.metrics_log import METRICS_FILE, read_metrics
from pipelines.train.outputs.result import steps_of_result
from scenegen.contract.object_dataset import ObjectDataset

CONFIG_FILE, ASSETS_FILE = "config.json", "assets.json"
_SECONDS_PER_HOUR = 3600


def write_record(folder: Path, stage: Stage, description: Mapping[str, Any]) -> None:
    """Write config.json and assets.json of a stage into its folder. description: as compared when it resumes."""
    config = {"digest": digest(description), "steps": stage.recipe.steps, **description}
    write_text(folder / CONFIG_FILE, json.dumps(config, indent=1) + "\n")
    write_text(folder / ASSETS_FILE, json.dumps(_assets(stage), indent=1) + "\n")


def training_record(run_dir: Path, objects: Iterable[ObjectDataset]) -> dict[str, Any]:
    """The record of a whole run, as JSON.

    "stages": by stage its steps, batch size, hours and number of training assets. "assets": uids of all assets that
    any stage was trained on. "licences": of these assets.
    objects: the tables that the run was trained on, which hold the licences.
    """
    stages, seen = {}, set[str]()
    for name in STAGE_NAMES:
        folder = run_dir / name
        if (folder / ASSETS_FILE).exists():
            config, assets = (json.loads((folder / file).read_text()) for file in (CONFIG_FILE, ASSETS_FILE))
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


def _assets(stage: Stage) -> dict[Split, list[str]]:
    """Asset uids by split; nothing for sources that do not name their assets."""
    sources: dict[Split, Any] = {"train": stage.source("train"), "val": stage.source("val")}
    return {split: [*one.asset_uids()] for split, one in sources.items() if isinstance(one, NamesAssets)}


def _licences(objects: ObjectDataset) -> Iterable[tuple[str, str]]:
    """(uid, licence) of every asset."""
    columns = objects.table("objects", ["asset_uid", "licence"]).to_pydict()
    return zip(columns["asset_uid"], columns["licence"], strict=True)


def _hours(metrics: Path, batch_size: int) -> float:
    """Time of the steps without validations, from the speed that was logged every few steps."""
    done, seconds = 0, 0.0
    for line in read_metrics(metrics):
        if line["kind"] == "train":
            seconds += (line["step"] - done) * batch_size / line["samples_per_s"]
            done = line["step"]
    return seconds / _SECONDS_PER_HOUR
