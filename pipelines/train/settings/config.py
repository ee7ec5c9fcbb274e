"""The options of `train-fixer`: few dials, defaults in one place. Nothing here needs PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import tyro

from pipelines.errors import UsageError
from pipelines.names import STAGE_NAMES, EncoderName, SizeName, StageName
from scenegen.contract.help_page import MAIN, HelpGroups

Repeated = tyro.conf.UseAppendAction


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Train the networks that complete objects in scenes, from shards to a pipeline folder.

    `--stage all` trains every stage, each on the results of those before it, and writes RUN_DIR/pipeline. Run the same
    command again to go on where it stopped. On several GPUs: torchrun --nproc-per-node 8 --no-python train-fixer ...

    Exit codes: 0 done, 1 error, 2 bad usage, 75 stopped by a signal with everything saved: run again.
    """

    shards: Annotated[tuple[str, ...], Repeated]
    """A dataset of scenegen: a folder or URI. May be given several times."""
    objects: Annotated[tuple[str, ...], Repeated] = ()
    """Where the objects tables of each --shards are, in the same order; default: in the same places."""
    mix: Annotated[tuple[float, ...], Repeated] = ()
    """How often the samples of each --shards are seen in an epoch, in the same order; default: once."""
    stage: Literal["all"] | StageName = "all"
    """One stage, or all of them in order."""
    size: SizeName = "official"
    """Size of the networks: official (many GPUs), small (one GPU), dense (one GPU, minutes), compact (two CPU cores,
    hours), tiny (one CPU core, minutes)."""
    encoders: EncoderName = "official"
    """Frozen image encoders: official (DINOv2 and MoGe-2; their weights are given with --weights), or the small
    network whose weights come with a package."""
    run_dir: Path = Path("runs/fixer")
    """Checkpoints, logs and results; a folder a stage."""

    init: str | None = None
    """A trained pipeline to start from (TRELLIS or 3D-Fixer; a folder, or owner/repo on the hub)."""
    weights: tuple[str, ...] = ()
    """NAME=PATH of networks to start from or to use: dinov2, moge2, structure_flow, slat_encoder, ..."""

    max_steps: int | None = None
    """Optimiser steps of each stage; default: the recipe's."""
    max_minutes: float | None = None
    """Minutes of each stage's steps; then it is finished as far as it came, and later stages build on that. Without
    this option, a stage that time ended goes on to its steps."""
    batch_size: int | None = None
    """Samples of a step, of all processes together; default: the recipe's."""
    learning_rate: float | None = None
    """Default: the recipe's."""
    micro_batch_tokens: float | None = None
    """The most tokens that one forward pass may hold; less needs less memory and gives the same result."""
    seed: int = 0
    """Of initial weights, order and everything random about the samples."""

    estimators: tuple[str, ...] | None = None
    """Depth estimators to mix with the true depth; default: all that the shards have."""
    latents: str | None = None
    """A stored table of latents to train the SLAT stages on; default: encode while training."""
    held_out: float = 0.05
    """Share of the assets that validate, where a dataset does not say which do."""
    bad_rows: Literal["raise", "replace"] = "raise"
    """What becomes of a row that cannot be read: an error, or another sample (few, and logged)."""

    device: Literal["auto", "cuda", "cpu"] = "auto"
    """Where to train; one that is asked for and missing is an error."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Of forward and backward passes; auto: bf16 on CUDA, fp32 on the CPU. Weights are fp32."""
    parallel: Literal["ddp", "fsdp"] = "ddp"
    """With several processes: whole networks in each, or shards of them."""
    compile: bool = False
    """torch.compile the repeated blocks of the networks."""
    checkpoint_blocks: bool | None = None
    """Compute activations again in the backward pass, which needs less memory; default: with size official."""
    workers: int | Literal["auto"] = "auto"
    """Loading processes of each training process; 0 loads in the training process."""

    resume: str = "auto"
    """auto: from the newest checkpoint. never: refuse a folder that has one. Or a checkpoint folder of this stage."""
    every: int | None = None
    """Steps between two validations with a checkpoint; default: a tenth of all, from 10 to 1000."""
    keep: int = 3
    """Newest checkpoints to keep."""
    keep_every: int = 0
    """Also keep, for good, the checkpoints whose step is a multiple of this; 0: none."""
    validation_samples: int = 64
    """Samples of held-out assets."""
    half: bool = False
    """Store the networks of RUN_DIR/pipeline in half precision."""
    dry_run: bool = False
    """Show samples, shapes, parameters and memory of what would be trained, and train nothing."""

    HELP_GROUPS: ClassVar[HelpGroups] = {
        MAIN: "shards stage size encoders run-dir",
        "initial weights": "init weights",
        "data": "objects mix estimators latents held-out bad-rows",
        "optimisation": "max-steps max-minutes batch-size learning-rate micro-batch-tokens seed",
        "how it is computed": "dry-run device precision parallel compile checkpoint-blocks workers",
        "checkpoints and results": "resume every keep keep-every validation-samples half",
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
