"""`scenegen objects`: what is known of each asset by itself. Torch, Ray and Blender are imported when it runs."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import tyro

from scenegen.commands.options import open_root
from scenegen.config import JobConfig
from scenegen.contract.command.help_page import MAIN, HelpGroups
from scenegen.objects.options import ObjectOptions, object_preset

DEFAULT_PRESET = "arsg"
_FROM_PRESET: Any = None  # filled in by __post_init__


@dataclass(frozen=True, kw_only=True)
class Objects:
    """Make tables of each asset: geometry, clean views, latents.

    Each step makes one table, so that one can be made again alone. Stop at any time; the same command resumes.

    Exit codes: 0 done, 1 error, 2 bad usage, 3 more failed assets than --max-failed, 75 stopped by a signal: run again.
    """

    data: str = "data/"
    """The dataset: a folder or an object-store URI."""
    assets: str = "used"
    """Which assets: used (those that its scenes show), all (those that its config selects), or asset stores
    separated by commas, which need no dataset."""
    out: str | None = None
    """Where the tables are stored. Default: beside the views."""
    steps: str = "auto"
    """What to make, separated by commas: geometry, views (clean renders), features (of images), latents. auto leaves
    out latents where no encoder is given."""
    preset: str = DEFAULT_PRESET
    """Defaults of all that decides what is made: arsg (the official sizes) or preview (small views, for CPUs)."""
    options: Annotated[ObjectOptions, tyro.conf.arg(name="")] = _FROM_PRESET
    structure_encoder: str | None = None
    """Encoder of the structure latents: a path or an address on the hub, such as owner/repo/ckpts/name."""
    slat_encoder: str | None = None
    """Encoder of the SLAT latents: a path or an address on the hub; it must be trained on the extractor's features."""
    weights: tuple[str, ...] = ()
    """NAME=PATH or NAME=HUB_ID: where the weights of the extractor are found. Default: where the manifest says."""
    download: bool = False
    """Fetch missing weights from the Hugging Face hub."""
    workers: int | Literal["auto"] = "auto"
    """Worker processes; auto fits them to cores, memory and GPUs."""
    device: Literal["auto", "optix", "cuda", "cpu"] = "auto"
    """Where Cycles and the networks run; a device that is asked for and missing is an error."""
    view_timeout: float = 900.0
    """Seconds after which a render is stopped and its asset recorded as failed."""
    max_failed: float = 0.05
    """Share of failed assets above which the exit code is 3."""
    retry_failed: bool = False
    """Try assets again that are recorded as failed."""
    array: str = "auto"
    """I/N for task I of N, counted from 0; auto asks Slurm, then Kubernetes, and otherwise does everything."""
    ray_address: str | None = None
    """A running Ray cluster: auto, or host:port. Without it, Ray is started on this machine for this command."""
    log_json: Path | None = None
    """A log file with one JSON object a line, for machines."""

    HELP_GROUPS: ClassVar[HelpGroups] = {
        MAIN: "data assets steps preset extractor",
        "networks": "weights download structure-encoder slat-encoder",
        "how it is computed": "device workers view-timeout array ray-address",
        "where it goes, failures and logs": "out retry-failed max-failed log-json",
        "what is made": (
            "condition-views condition-px crop-px feature-views feature-px samples visibility latents-name "
            "rotations objects-per-shard object-seed"
        ),
    }

    def __post_init__(self) -> None:
        if self.options is None:
            object.__setattr__(self, "options", object_preset(self.preset))

    def run(self) -> int:
        from scenegen.annotate.weights import MissingWeightsError
        from scenegen.contract.storage import Root
        from scenegen.jobs.assignment import resolve_assignment
        from scenegen.jobs.reporting import say
        from scenegen.objects.run import ObjectsRun, make_objects
        from scenegen.objects.steps import Encoders, choose_steps, find_tools, left_out
        from scenegen.objects.wanted_assets import ALL, USED, dataset_of_assets

        open_root(self.out or self.data).to_write()
        encoders = Encoders(self.structure_encoder, self.slat_encoder)
        steps = choose_steps(self.steps, encoders)
        try:
            tools = find_tools(steps, self.options, encoders, self.weights, self.download)
        except MissingWeightsError:
            if self.assets in (USED, ALL):
                dataset_of_assets(Root.open(self.data))  # no use in fetching weights for data that are not there
            raise
        if note := left_out(self.steps, steps):
            say(note)
        job = JobConfig(
            workers=None if self.workers == "auto" else self.workers,
            device=self.device,
            ray_address=self.ray_address,
            max_failed=self.max_failed,
            retry_failed=self.retry_failed,
        )
        result = make_objects(
            ObjectsRun(
                self.data,
                self.out or self.data,
                self.options,
                tools,
                job,
                resolve_assignment(self.array, os.environ),
                self.assets,
                self.view_timeout,
                self.log_json,
            )
        )
        sys.stderr.write(f"scenegen: {result.summary}\n")
        return result.exit_code
