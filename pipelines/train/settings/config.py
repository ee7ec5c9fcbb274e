"""The options of `train-fixer`: few dials, defaults in one place. Nothing here needs PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import tyro

from pipelines.errors import UsageError
from pipelines.names import STAGE_NAMES, EncoderName, SizeName, StageName
from scenegen.contract.command.help_page import MAIN, HelpGroups

Repeated = tyro.conf.UseAppendAction
WANDB_PROJECT = "fixer3d"


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Train the networks that complete objects in scenes, from shards to a pipeline folder.

    `--stage all` trains every stage, each on the results of those before it, and writes RUN_DIR/pipeline. Stop at any
    time; the same command resumes. On several GPUs: torchrun --nproc-per-node 8 --no-python train-fixer ...

    Exit codes: 0 done, 1 error, 2 bad usage, 75 stopped by a signal with everything saved: run again.
    """

    shards: Annotated[tuple[str, ...], Repeated]
    """A dataset of scenegen: a folder or URI. Can be repeated, to train on several."""
    objects: Annotated[tuple[str, ...], Repeated] = ()
    """Where the objects tables of each --shards are, in the same order. Default: in the same places."""
    mix: Annotated[tuple[float, ...], Repeated] = ()
    """How often the samples of each --shards are seen in an epoch, in the same order. Default: once."""
    stage: Literal["all"] | StageName = "all"
    """The stage to train, or all of them in order."""
    size: SizeName = "official"
    """Size of the networks: official (many GPUs), small (one GPU), dense (one GPU, minutes), compact (two CPU cores,
    hours), tiny (one CPU core, minutes)."""
    encoders: EncoderName = "official"
    """Frozen image encoders: official (DINOv2 and MoGe-2, whose weights are named with --weights), or a small network
    whose weights are installed with the train extra."""
    run_dir: Path = Path("runs/fixer")
    """A folder for checkpoints, logs and results, with a subfolder for each stage."""

    init: str | None = None
    """A trained pipeline whose networks are the initial weights: TRELLIS or 3D-Fixer, as a folder, or owner/repo on
    the hub."""
    weights: tuple[str, ...] = ()
    """NAME=PATH of single networks to start from or to use: dinov2, moge2, structure_flow, slat_encoder, ..."""

    max_steps: int | None = None
    """Optimiser steps of each stage. Default: the recipe's."""
    max_minutes: float | None = None
    """Minutes that the steps of each stage may take; then the stage ends with what it has, and later stages build on
    that. Without this option, a stage that ended so resumes until it has all its steps."""
    batch_size: int | None = None
    """Samples of an optimiser step, over all processes. Default: the recipe's."""
    learning_rate: float | None = None
    """Learning rate after the warm-up. Default: the recipe's."""
    micro_batch_tokens: float | None = None
    """The most tokens of one forward pass; fewer need less memory and give the same result."""
    seed: int = 0
    """The seed of initial weights, of the order of the samples and of everything random about them."""

    estimators: tuple[str, ...] | None = None
    """Depth estimators whose maps are mixed with the true depth. Default: all that the shards have."""
    latents: str | None = None
    """Name of a stored latents table on which the SLAT stages are trained. Default: encode while training."""
    held_out: float = 0.05
    """Share of the assets that is held out for validation, where a dataset does not say which."""
    bad_rows: Literal["raise", "replace"] = "raise"
    """What to do with a row that cannot be read: raise an error, or replace it by another sample (few, and logged)."""

    device: Literal["auto", "cuda", "cpu"] = "auto"
    """Where to train; a device that is asked for and missing is an error."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Precision of forward and backward passes; auto is bf16 on CUDA and fp32 on the CPU. Weights are fp32."""
    parallel: Literal["ddp", "fsdp"] = "ddp"
    """With several processes: whole networks in each (ddp), or a shard of each network (fsdp)."""
    compile: bool = False
    """Compile the repeated blocks of the networks with torch.compile."""
    recompute: Literal["auto", "nothing", "cheap", "blocks"] = "auto"
    """Activation checkpointing, which needs less memory: compute again in the backward pass what is cheap (norms,
    activations), or whole blocks. auto is blocks for --size official and nothing for all others."""
    workers: int | Literal["auto"] = "auto"
    """Data-loading processes of each training process; 0 loads in the training process."""

    resume: str = "auto"
    """auto: resume from the newest checkpoint. never: refuse a folder that has one. Or a checkpoint folder of the
    stage."""
    every: int | None = None
    """Steps between two validations, each with a checkpoint. Default: a tenth of all steps, from 10 to 1000."""
    keep: int = 3
    """Number of newest checkpoints to keep."""
    keep_every: int = 0
    """Also keep the checkpoints whose step is a multiple of this; 0 for none."""
    validation_samples: int = 64
    """Number of samples of held-out assets to validate on."""
    half: bool = False
    """Store the networks of RUN_DIR/pipeline in half precision."""
    wandb: Annotated[tuple[()] | tuple[str] | None, tyro.conf.arg(metavar="[PROJECT]")] = None
    """Also log to this project of Weights & Biases (fixer3d if none is named). Needs the `wandb` extra."""
    dry_run: bool = False
    """Show samples, shapes, parameters and memory of what would be trained, and train nothing."""

    HELP_GROUPS: ClassVar[HelpGroups] = {
        MAIN: "shards stage size encoders run-dir",
        "initial weights": "init weights",
        "data": "objects mix estimators latents held-out bad-rows",
        "optimisation": "max-steps max-minutes batch-size learning-rate micro-batch-tokens seed",
        "how it is computed": "dry-run device precision parallel compile recompute workers",
        "checkpoints and results": "resume every keep keep-every validation-samples half wandb",
    }

    def __post_init__(self) -> None:
        if not self.shards:
            raise UsageError("say what to train on: --shards DIR, a dataset that scenegen has made")
        for option, values in (("objects", self.objects), ("mix", self.mix)):
            if values and len(values) != len(self.shards):
                raise UsageError(
                    f"--{option} is given {len(values)} times and --shards {len(self.shards)} times; "
                    "give it once for each, in the same order, or not at all"
                )
        for option in ("max_steps", "max_minutes", "batch_size", "learning_rate", "micro_batch_tokens", "every"):
            value = getattr(self, option)
            if value is not None and not value > 0:
                raise UsageError(f"--{option.replace('_', '-')} {value} cannot be; give a positive number")
        if self.workers != "auto" and self.workers < 0:
            raise UsageError(f"--workers {self.workers} cannot be; give 0 or more")
        if self.resume not in ("auto", "never") and self.stage == "all":
            raise UsageError("--resume with a checkpoint goes with one --stage; --stage all finds its own")
        unnamed = [given for given in self.weights if "=" not in given]
        if unnamed:
            raise UsageError(f"--weights {unnamed[0]} has no name; write NAME=PATH, such as dinov2=weights/dinov2.pth")

        if self.wandb is not None and find_spec("wandb") is None:
            raise UsageError("--wandb needs wandb: pip install 'fixer3d[wandb]'")

    @property
    def wandb_project(self) -> str | None:
        """None if nothing goes to Weights & Biases."""
        return None if self.wandb is None else (*self.wandb, WANDB_PROJECT)[0]

    @property
    def stages(self) -> tuple[StageName, ...]:
        """In the order in which they build on one another."""
        return tuple(name for name in STAGE_NAMES if self.stage in ("all", name))

    @property
    def tables(self) -> tuple[str, ...]:
        """Where the objects tables of each of `shards` are."""
        return self.objects or self.shards

    @property
    def given_weights(self) -> dict[str, str]:
        """Place by name of a network."""
        return dict(given.split("=", 1) for given in self.weights)
