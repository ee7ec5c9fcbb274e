"""`scenegen plan`: what a dataset takes on this machine, before anything is made."""

import sys
from dataclasses import dataclass
from typing import ClassVar

from scenegen.commands.options import DatasetOptions, JobOptions, open_root
from scenegen.contract.help_page import MAIN, HelpGroups
from scenegen.errors import EXIT_DONE


@dataclass(frozen=True, kw_only=True)
class Plan(DatasetOptions, JobOptions):
    """What this machine can do, and what a dataset takes on it: hours, bytes, GPUs for a deadline. Takes seconds."""

    out: str = "data/"
    """Where it would be stored: the free space there is looked at."""
    deadline_hours: float = 24.0
    """For the question of how many machines like this one it takes."""
    calibrate: bool = False
    """Measure this machine anew by a few small scenes (some minutes), and keep that for later. Else what was kept is
    used, or an estimate of some seconds."""

    HELP_GROUPS: ClassVar[HelpGroups] = {
        MAIN: "num-scenes preset out deadline-hours calibrate",
        "what is made": "seed scenes-per-shard renderer",
        "how it is computed": "workers device ray-address scene-timeout",
    }

    def run(self) -> int:
        from scenegen.planning.plan import plan

        sys.stdout.write(
            plan(open_root(self.out), self.dataset_config(), self.job_config(), self.deadline_hours, self.calibrate)
            + "\n"
        )
        return EXIT_DONE
