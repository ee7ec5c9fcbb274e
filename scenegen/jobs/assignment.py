"""Which shards this process has to make: by --array I/N, else by Slurm, else by Kubernetes, else all of them.

Task i of N takes the shards i, i + N, i + 2N, ... The shares of N tasks are therefore disjoint and cover everything,
whatever the number of shards, and a later run with another N makes what is missing.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from scenegen.errors import UsageError

KUBERNETES_SIZE = "SCENEGEN_ARRAY_SIZE"


@dataclass(frozen=True, slots=True)
class Assignment:
    """Task `index` of `count`, counted from 0. source: where the numbers come from."""

    index: int
    count: int
    source: str

    def shards(self, num_shards: int) -> range:
        return range(self.index, num_shards, self.count)

    def describe(self, num_shards: int) -> str:
        """One line about the share, the first of every log."""
        mine = self.shards(num_shards)
        listed = ", ".join(map(str, mine[:3])) + (", ..." if len(mine) > 3 else "")
        shards = f"shards {listed} ({len(mine)} of {num_shards})" if mine else f"no shards (there are {num_shards})"
        return f"assignment: task {self.index} of {self.count} ({self.source}): {shards}"


def resolve_assignment(array: str, environment: Mapping[str, str]) -> Assignment:
    """The share of this process. array: "auto" or "I/N" with I from 0.

    Raises UsageError for a share that does not exist, or whose size is unknown: a size is never guessed.
    """
    if array != "auto":
        return _explicit(array)
    if "SLURM_ARRAY_TASK_ID" in environment:
        return _slurm(environment)
    if "JOB_COMPLETION_INDEX" in environment:
        return _kubernetes(environment)
    return Assignment(0, 1, "single process")


def _explicit(array: str) -> Assignment:
    match = re.fullmatch(r"(\d+)/(\d+)", array)
    if not match:
        raise UsageError(f"--array {array} is neither auto nor I/N; write for example --array 0/8 up to --array 7/8")
    return _checked(int(match[1]), int(match[2]), "--array")


def _slurm(environment: Mapping[str, str]) -> Assignment:
    task, first, count = (_integer(environment, f"SLURM_ARRAY_TASK_{name}") for name in ("ID", "MIN", "COUNT"))
    step = _integer(environment, "SLURM_ARRAY_TASK_STEP") if "SLURM_ARRAY_TASK_STEP" in environment else 1
    index, rest = divmod(task - first, step)
    last = environment.get("SLURM_ARRAY_TASK_MAX")
    gaps = last is not None and int(last) != first + step * (count - 1)
    if rest or gaps:
        raise UsageError(
            f"Slurm array task {task} is not one of {count} evenly spaced ids from {first} in steps of {step}; "
            "submit a plain range such as --array=0-7, or give --array I/N"
        )
    job = environment.get("SLURM_ARRAY_JOB_ID", "?")
    return _checked(index, count, f"Slurm array job {job}, task id {task}")


def _kubernetes(environment: Mapping[str, str]) -> Assignment:
    index = _integer(environment, "JOB_COMPLETION_INDEX")
    if KUBERNETES_SIZE not in environment:
        raise UsageError(
            f"Kubernetes gives the completion index ({index}) but not the number of completions; "
            f"set {KUBERNETES_SIZE} to the Job's spec.completions, or give --array I/N"
        )
    return _checked(index, _integer(environment, KUBERNETES_SIZE), "Kubernetes indexed job")


def _integer(environment: Mapping[str, str], name: str) -> int:
    try:
        return int(environment[name])
    except KeyError:
        raise UsageError(f"{name} is not set although this looks like an array task; give --array I/N") from None
    except ValueError:
        raise UsageError(f"{name} is {environment[name]!r}, not a number; give --array I/N") from None


def _checked(index: int, count: int, source: str) -> Assignment:
    if not 0 <= index < count:
        raise UsageError(f"task {index} of {count} ({source}) does not exist; tasks are counted from 0 to {count - 1}")
    return Assignment(index, count, source)
