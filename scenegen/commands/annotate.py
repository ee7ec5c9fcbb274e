"""`scenegen annotate`: depth estimators' maps for the views of a dataset. Torch and Ray are imported when it runs."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from scenegen.annotate.options import ESTIMATORS, EstimatorOptions
from scenegen.contract.command.help_page import MAIN, HelpGroups


@dataclass(frozen=True, kw_only=True)
class Annotate:
    """Add the maps of depth estimators to a dataset.

    They are aligned to the ground truth. Each estimator has sidecar shards beside the views; nothing else is rewritten.
    Stop at any time; the same command resumes.

    Exit codes: 0 done, 1 error, 2 bad usage, 3 some shards failed, 75 stopped by a signal: run again.
    """

    data: str = "data/"
    """The dataset: a folder or an object-store URI."""
    estimators: str = ESTIMATORS
    """Separated by commas: moge2, vggt, depth_anything_v2 (or depth_anything_v2_small), depth_pro; or simulated, which
    needs no network."""
    weights: tuple[str, ...] = ()
    """NAME=PATH or NAME=HUB_ID: where the weights of an estimator are found. Default: where the manifest says."""
    download: bool = False
    """Fetch missing weights from the Hugging Face hub."""
    workers: int | Literal["auto"] = "auto"
    """Worker processes; auto takes one for each GPU, or one for each core for simulated."""
    device: Literal["auto", "cuda", "cpu"] = "auto"
    """Where networks run; a device that is asked for and missing is an error."""
    batch_size: int | None = None
    """Images at a time. Default: what suits each network."""
    severity: Literal["mild", "medium", "severe", "mixed"] = "mixed"
    """How wrong the maps of simulated are; mixed draws one for each view."""
    max_other_views: int = 7
    """The most other views of the scene that VGGT is shown, in half of the cases; 0 shows it single views only."""
    seed: int = 0
    """The seed of simulated errors, of VGGT's other views and of the samples of the alignment."""
    array: str = "auto"
    """I/N for task I of N, counted from 0; auto asks Slurm, then Kubernetes, and otherwise does everything."""
    ray_address: str | None = None
    """A running Ray cluster: auto, or host:port. Without it, Ray is started on this machine for this command."""
    log_json: Path | None = None
    """A log file with one JSON object a line, for machines."""

    HELP_GROUPS: ClassVar[HelpGroups] = {
        MAIN: "data estimators weights download device",
        "how it is computed": "workers batch-size array ray-address log-json",
        "what is made": "severity max-other-views seed",
    }

    def run(self) -> int:
        from scenegen.annotate.run import annotate
        from scenegen.jobs.assignment import resolve_assignment

        result = annotate(
            self.data,
            self.estimators,
            self.weights,
            self.options(),
            resolve_assignment(self.array, os.environ),
            download=self.download,
            workers=None if self.workers == "auto" else self.workers,
            ray_address=self.ray_address,
            log_json=self.log_json,
        )
        sys.stdout.write(result.summary + "\n")
        return result.exit_code

    def options(self) -> EstimatorOptions:
        """What of this reaches the estimators."""
        return EstimatorOptions(self.device, self.batch_size, self.severity, self.max_other_views, self.seed)
