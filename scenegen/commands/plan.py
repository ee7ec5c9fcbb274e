"""`scenegen plan`: what a dataset takes on this machine, before anything is made."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from scenegen.commands.options import DatasetOptions, JobOptions, open_root
from scenegen.contract.command.help_page import MAIN, HelpGroups
from scenegen.errors import EXIT_DONE


@dataclass(frozen=True, kw_only=True)
class Plan(DatasetOptions, JobOptions):
    """Forecast the hours, bytes and GPUs that a dataset takes.

    Says in seconds what this machine can do and how many like it meet a deadline. Makes nothing.
    """

    out: str = "data/"
    """Where the dataset would be stored; its free space is compared with what is needed."""
    deadline_hours: float = 24.0
    """The time in which the dataset should be ready; decides how many machines like this one it takes."""
    calibrate: bool = False
    """Measure this machine by rendering a few small scenes (some minutes), and store the result. Without this option
    a stored measurement is used, or an estimate of some seconds. With GPUs, all --workers render at once."""
    measured: Path | None = None
    """Forecast for another machine, from the file that --calibrate has written there; nothing is measured here."""

    HELP_GROUPS: ClassVar[HelpGroups] = {
        MAIN: "num-scenes preset deadline-hours calibrate measured",
        "what is made": "out seed scenes-per-shard renderer",
        "how it is computed": "workers device ray-address scene-timeout",
    }

    def run(self) -> int:
        from scenegen.planning.plan import plan, plan_elsewhere

        config, job = self.dataset_config(), self.job_config()
        if self.measured:
            said = plan_elsewhere(config, self.measured, self.deadline_hours, self.calibrate)
        else:
            said = plan(open_root(self.out), config, job, self.deadline_hours, self.calibrate)
        sys.stdout.write(f"{said}\n")
        return EXIT_DONE
