"""By which commands a stage was trained, on which machine and with which versions. None of it decides the result.

STAGE/invocations.json    a list; a run that was stopped and went on has several
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import torch

from pipelines.atomic import write_text
from pipelines.train.optimisation.distributed import Ranks

_FILE = "invocations.json"
_PACKAGES = ("fixer3d", "torch", "numpy", "pyarrow")


@dataclass(frozen=True)
class Invocation:
    """One start of a stage's training.

    command: quoted for a shell, to be typed in `folder`; "" for a run that was started from Python.
    data: where the shards were, as they were named. started: UTC, ISO 8601. from_step: steps done before.
    device: where each of `processes` computed. machine: system, processor, cores, GPUs of the first process.
    versions: of Python and packages, by name.
    """

    command: str = ""
    data: tuple[str, ...] = ()
    folder: str = ""
    started: str = ""
    from_step: int = 0
    device: str = ""
    processes: int = 1
    machine: Mapping[str, str | int] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


def typed_command(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """train-fixer with these arguments, and with torchrun before it if that started this process."""
    world = int(environment.get("WORLD_SIZE", "1"))
    each = int(environment.get("LOCAL_WORLD_SIZE", str(world)))
    nodes = ("--nnodes", str(world // each)) if world > each else ()
    launcher = ("torchrun", *nodes, "--nproc-per-node", str(each), "--no-python") if world > 1 else ()
    return shlex.join([*launcher, "train-fixer", *arguments])


def record_invocation(stage: Path, command: str, data: Sequence[str], first_step: int, ranks: Ranks) -> None:
    """Add this start to the file of the stage's folder. Called on rank 0 only."""
    here = Invocation(
        command=command,
        data=tuple(data),
        folder=str(Path.cwd()),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        from_step=first_step,
        device=ranks.device.type,
        processes=ranks.world_size,
        machine=_machine(),
        versions={"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
    )
    every = [asdict(one) for one in (*read_invocations(stage), here)]
    write_text(stage / _FILE, json.dumps(every, indent=1) + "\n")


def read_invocations(stage: Path) -> list[Invocation]:
    """Oldest first; none for a stage that was trained before they were recorded."""
    file = stage / _FILE
    return [Invocation(**one) for one in json.loads(file.read_text())] if file.exists() else []


def _machine() -> dict[str, str | int]:
    gpus = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    named: dict[str, str | int] = {"system": platform.platform(), "processor": _processor()}
    named["cores"] = len(os.sched_getaffinity(0))
    return named | ({"gpus": ", ".join(gpus)} if gpus else {})


def _processor() -> str:
    """Linux names it in a file alone."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
