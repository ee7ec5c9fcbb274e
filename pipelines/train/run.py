"""A whole command: its stages in order, each on the results of those before it, then the trained pipeline."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from models.checkpoints import CheckpointError
from pipelines.atomic import complete_folder
from pipelines.encoders.official import MissingEncoderWeights
from pipelines.encoders.protocol import ImageEncoders
from pipelines.encoders.registry import load_encoders
from pipelines.encoders.remembering import RememberingEncoders
from pipelines.errors import PipelineError, UsageError
from pipelines.names import STAGE_NAMES, EncoderName, StageName
from pipelines.train.build_stages import build_stage, compute_threads, data_options, loop_options, stage_recipe
from pipelines.train.data import loader
from pipelines.train.data.tables import check_tables
from pipelines.train.interfaces.stage import Stage
from pipelines.train.loop.dry_run import show_stage
from pipelines.train.loop.loop import train_stage
from pipelines.train.loop.stopping import stop_on_signal
from pipelines.train.optimisation.distributed import Ranks, process_group
from pipelines.train.outputs.page import write_page
from pipelines.train.outputs.record import training_record
from pipelines.train.outputs.release import write_release
from pipelines.train.outputs.result import finished_stage
from pipelines.train.settings.config import TrainConfig
from pipelines.train.settings.initial_weights import StageInputs, initial_pipeline
from pipelines.train.stages.registry import missing_networks, stage_entry
from scenegen.contract.object_dataset import ObjectDataset


def run(config: TrainConfig, command: str = "") -> None:
    """Train the stages that the command asks for. command: as it was typed, to be recorded.

    Raises PipelineError for what a user can act on, and Interrupted after a signal to stop, with everything saved.
    """
    stop = threading.Event()
    try:
        with process_group(config.device) as ranks, stop_on_signal(stop):
            Run(config, ranks, command).execute(stop)
    except CheckpointError as error:  # its message is for users, though `models` does not know our errors
        raise PipelineError(str(error)) from error


def _encoders(name: EncoderName, weights: Mapping[str, str | Path]) -> ImageEncoders:
    """Raises PipelineError if weights are missing, with the options of this command that help."""
    try:
        return load_encoders(name, weights)
    except MissingEncoderWeights as error:
        without = "Or train with a small encoder whose weights come with a package: --encoders efficientnet_lite0"
        raise PipelineError(f"{error.advise('--weights')}\n{without}") from None


class Run:
    """The stages of a command, on this rank."""

    def __init__(self, config: TrainConfig, ranks: Ranks, command: str = "") -> None:
        self._config, self._ranks = config, ranks
        for name in config.stages[:1]:  # before weights are fetched for data that do not exist
            check_tables(name, data_options(config))
        initial = initial_pipeline(config.init) if config.init else StageInputs()
        self._initial = replace(initial, weights={**initial.weights, **config.given_weights})
        encoders = _encoders(config.encoders, self._initial.weights)
        self._encoders = RememberingEncoders(encoders) if ranks.device.type == "cpu" else encoders
        self._options = loop_options(config, ranks, command)
        threads = compute_threads(self._options.workers, ranks)
        if threads is not None:
            torch.set_num_threads(threads)

    def execute(self, stop: threading.Event) -> None:
        """Train, show or skip each stage, and write the pipeline after `--stage all`. stop: set to stop early."""
        try:
            self._stages(stop)
        except PipelineError as error:
            if not isinstance(error, UsageError):  # one of these may say that the folder is another run's
                self._write_page()
            raise
        self._write_page()

    def _stages(self, stop: threading.Event) -> None:
        all_stages = self._config.stage == "all"
        for name in self._config.stages:
            if all_stages and self._is_given(name):
                self._say(f"{name}: its networks are given, so it is not trained")
            elif self._config.dry_run:
                self._show(name)
            else:
                self._train(name, stop)
        if all_stages and not self._config.dry_run:
            self._release()

    def _train(self, name: StageName, stop: threading.Event) -> None:
        folder = self._config.run_dir / name
        before = finished_stage(folder)
        done = train_stage(self._stage(name), loader, self._options, self._ranks, folder, stop)
        if done != before:
            self._write_page()

    def _is_given(self, name: StageName) -> bool:
        """Whether the initial weights hold what this stage trains, an autoencoder: it is then used as it is."""
        entry = stage_entry(name)
        return not entry.needs and all(network in self._initial.weights for network in entry.makes)

    def _show(self, name: StageName) -> None:
        missing = missing_networks(name, self._inputs(name).weights)
        if missing:
            steps = stage_recipe(name, self._config).steps
            self._say(f"{name}: {steps} steps; more when the stages before it have made {', '.join(missing)}")
        elif self._ranks.is_main:
            show_stage(self._stage(name), loader, self._options, self._ranks.device, self._say)

    def _stage(self, name: StageName) -> Stage:
        return build_stage(name, self._config, self._encoders, self._inputs(name))

    def _inputs(self, name: StageName | None) -> StageInputs:
        """The initial weights, overridden by the results of the stages that come before `name` (None: of all)."""
        weights, facts = dict(self._initial.weights), dict(self._initial.facts)
        for former in STAGE_NAMES[: None if name is None else STAGE_NAMES.index(name)]:
            result = finished_stage(self._config.run_dir / former)
            if result:
                weights.update(result.networks)
                facts[former] = result.facts
        return StageInputs(weights, facts)

    def _release(self) -> None:
        target = self._config.run_dir / "pipeline"
        if self._ranks.is_main:
            inputs = self._inputs(None)
            with complete_folder(target) as folder:
                write_release(folder, inputs.weights, inputs.facts, self._encoders, self._config.half, self._record())
        self._say(f"the trained pipeline is in {target}")

    def _record(self) -> dict[str, Any]:
        return training_record(self._config.run_dir, map(ObjectDataset.open, self._config.tables))

    def _write_page(self) -> None:
        """A page that cannot be made is said, and ends no training."""
        if not self._ranks.is_main or self._config.dry_run:
            return
        try:
            write_page(self._config.run_dir, self._record())
        except Exception as error:  # noqa: BLE001
            self._say(f"the page of this run was not written: {type(error).__name__}: {error}")

    def _say(self, line: str) -> None:
        if self._ranks.is_main:
            sys.stderr.write(line + "\n")
