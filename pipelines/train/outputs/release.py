"""The trained pipeline, for `fixer-complete`: all networks of a system in the official pipeline layout.

Beside the official arguments, pipeline.json says which image encoders the networks were trained with (`encoders`) and
how the system is named (`title`) in everything made with it. `training.json`, if it exists, says how the networks were
trained and on which assets.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import nn

from models.checkpoints import read_network, write_network, write_pipeline_file
from pipelines.encoders.protocol import ImageEncoders
from pipelines.errors import PipelineError
from pipelines.latent_statistics import OFFICIAL_SLAT
from pipelines.names import SIZE_NAMES, SizeName
from pipelines.samplers import SamplerConfig
from pipelines.train.settings.initial_weights import OFFICIAL_KEYS
from pipelines.train.settings.sizes import official, system_sizes

PIPELINE_CLASS = "ThreeDFixerPipeline"
TRAINING_FILE = "training.json"

_SAMPLERS = {  # official name -> the stage whose samples it draws
    "coarse_sparse_structure_sampler": "coarse",
    "sparse_structure_sampler": "fine",
    "slat_sampler": "texturer",
}
# Sizes whose mesh decoders have not learned colours, and whose completers contradict the image.
_BRIEFLY_TRAINED: tuple[SizeName, ...] = ("tiny", "compact", "dense")
_OFFICIAL_ENCODERS = {"image_cond_model": "dinov2_vitl14_reg", "scene_cond_model": "Ruicheng/moge-2-vitl"}


def write_release(
    folder: Path,
    weights: Mapping[str, str | Path],
    facts: Mapping[str, Mapping[str, Any]],
    encoders: ImageEncoders,
    half: bool = False,
    training: Mapping[str, Any] | None = None,
) -> None:
    """Write the pipeline into `folder`, which exists.

    weights: path or hub id of each network, by our name. facts: by stage that was trained, see `Stage.facts`: the
    "sampler" of a flow, and the statistics of the latents of the SLAT autoencoder.
    half: store the weights in half precision; they are float32 again when they are read.
    training: see `training_record`; None writes no training.json.
    Raises PipelineError if a network is missing, CheckpointError if half precision cannot hold a weight.
    """
    missing = [name for name in OFFICIAL_KEYS if name not in weights]
    if missing:
        raise PipelineError(
            f"a pipeline needs {', '.join(missing)} as well; train the stages that make them, or give them with --init"
        )
    configs: dict[str, Any] = {}
    for name, key in OFFICIAL_KEYS.items():  # one at a time: together they need more memory than one machine may have
        network: nn.Module = read_network(weights[name])
        configs[name] = network.config
        write_network(network, folder / "ckpts" / key, half=half)
    briefly_trained = _size(configs, encoders) in _BRIEFLY_TRAINED
    args = {
        "title": _title(configs, encoders, facts.get("coarse", {}).get("steps")),
        "encoders": {"name": encoders.name, "image_px": encoders.sizes.image_px},
        "colours": "image" if briefly_trained else "mesh",
        "carve": briefly_trained,
        "thin": briefly_trained,
        **(_OFFICIAL_ENCODERS if encoders.name == "official" else {}),
        **{official: _sampler(facts.get(stage, {}).get("sampler")) for official, stage in _SAMPLERS.items()},
        "slat_normalization": _statistics(facts, configs["slat_encoder"] == official(encoders.sizes).slat_encoder),
    }
    write_pipeline_file(folder, PIPELINE_CLASS, {key: f"ckpts/{key}" for key in OFFICIAL_KEYS.values()}, args)
    if training is not None:
        (folder / TRAINING_FILE).write_text(json.dumps(training, indent=1) + "\n")


def _title(configs: Mapping[str, Any], encoders: ImageEncoders, steps: int | None) -> str:
    """The name of the system: its size, its encoders, and the steps of its coarse stage if they are known."""
    trained = "" if steps is None else f", {steps} steps of the coarse stage"
    size = _size(configs, encoders)
    which = "a size of its own" if size is None else f"size {size}"
    return f"3D-Fixer of {which} with {encoders.name} encoders{trained}"


def _size(configs: Mapping[str, Any], encoders: ImageEncoders) -> SizeName | None:
    """The size whose configs all networks have; None if there is no such size."""
    for name in SIZE_NAMES:
        sizes = system_sizes(name, encoders.sizes)
        if all(config == sizes.config_of(network) for network, config in configs.items()):
            return name
    return None


def _sampler(stated: Mapping[str, Any] | None) -> dict[str, Any]:
    """The sampler of a stage in the official form; with the official values for a stage that was not trained."""
    values = {**asdict(SamplerConfig()), **(stated or {})}
    return {
        "name": "FlowEulerGuidanceIntervalSampler",
        "args": {"sigma_min": values["sigma_min"]},
        "params": {
            "steps": values["steps"],
            "cfg_strength": values["guidance"],
            "cfg_interval": list(values["guidance_interval"]),
            "rescale_t": values["rescale_t"],
            **({} if values["noise_scale"] == 1 else {"noise_scale": values["noise_scale"]}),
        },
    }


def _statistics(facts: Mapping[str, Mapping[str, Any]], is_official: bool) -> dict[str, Any]:
    """Mean and deviation of the latents: those measured with their encoder, or the released ones for its size.

    Raises PipelineError if there are neither.
    """
    measured = facts.get("slat_vae", {}).get("slat_normalization")
    if measured is None and not is_official:
        raise PipelineError("mean and deviation of the latents of this slat_encoder are not known; train slat_vae here")
    return dict(measured) if measured else OFFICIAL_SLAT.to_json()
