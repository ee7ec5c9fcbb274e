"""What commands that make datasets have in common, and those that forecast, watch and check them.

`--help` is quick: Ray and Blender are imported when they run.
"""

import dataclasses
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

import tyro

from scenegen.config import (
    PRESETS,
    AssetsConfig,
    CameraConfig,
    DatasetConfig,
    JobConfig,
    LightConfig,
    PlacementConfig,
    RenderConfig,
    RoomConfig,
    VisibilityConfig,
    config_diff,
    preset,
)
from scenegen.contract.storage import Root
from scenegen.errors import EXIT_DONE, EXIT_ERROR, UsageError

DEFAULT_PRESET = "arsg"
_FROM_PRESET: Any = None  # filled in by __post_init__

CommandT = TypeVar("CommandT")


@dataclass(frozen=True, kw_only=True)
class DatasetOptions:
    """Options of what the dataset holds: a preset, and whatever is changed on top of it."""

    num_scenes: int | None = None
    """How many scenes; needed unless the stored config is resumed."""
    preset: str = DEFAULT_PRESET
    """arsg (30 views of 1024 px) or preview (2 views of 256 px)."""
    seed: int = 0
    scenes_per_shard: int = _FROM_PRESET
    """The unit of work, resume and verification."""
    renderer: Literal["blender", "boxes"] = "blender"
    """blender, or boxes: bounding boxes in NumPy, to try the machinery, never for data."""
    assets: AssetsConfig = _FROM_PRESET
    room: RoomConfig = _FROM_PRESET
    light: LightConfig = _FROM_PRESET
    placement: PlacementConfig = _FROM_PRESET
    camera: CameraConfig = _FROM_PRESET
    visibility: VisibilityConfig = _FROM_PRESET
    render: RenderConfig = _FROM_PRESET

    def __post_init__(self) -> None:
        base = preset(self.preset, 1)
        for field in dataclasses.fields(DatasetConfig):
            if getattr(self, field.name) is None and field.name != "num_scenes":
                object.__setattr__(self, field.name, getattr(base, field.name))

    def dataset_config(self) -> DatasetConfig:
        """Raises UsageError without a number of scenes, or for values that cannot be meant."""
        if self.num_scenes is None:
            raise UsageError("say how many scenes: --num-scenes N")
        return DatasetConfig(**{field.name: getattr(self, field.name) for field in dataclasses.fields(DatasetConfig)})

    def changes(self) -> list[str]:
        """What was asked for beyond the preset, as readable lines."""
        mine = dataclasses.replace(self, num_scenes=1).dataset_config().to_dict()
        return [*config_diff(preset(self.preset, 1).to_dict(), mine)]


@dataclass(frozen=True, kw_only=True)
class JobOptions:
    """Options of how it is computed; they never change what the rows hold."""

    workers: int | Literal["auto"] = "auto"
    """Worker processes; auto fits them to cores, memory and GPUs."""
    device: Literal["auto", "optix", "cuda", "cpu"] = "auto"
    """Where to render; one that is asked for and missing is an error."""
    ray_address: str | None = None
    """A running Ray cluster (auto, or host:port); otherwise Ray runs on this machine for this command."""
    scene_timeout: float | Literal["auto"] = "auto"
    """Seconds after which a scene is stopped and recorded as failed; auto is 900, or what slow machines need."""

    def job_config(self, **more: Any) -> JobConfig:
        return JobConfig(
            workers=None if self.workers == "auto" else self.workers,
            device=self.device,
            ray_address=self.ray_address,
            scene_timeout_s=None if self.scene_timeout == "auto" else self.scene_timeout,
            **more,
        )


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

    def run(self) -> int:
        from scenegen.jobs.planning.plan import plan

        sys.stdout.write(
            plan(open_root(self.out), self.dataset_config(), self.job_config(), self.deadline_hours, self.calibrate)
            + "\n"
        )
        return EXIT_DONE


@dataclass(frozen=True)
class Status:
    """How far a dataset is, from its ledgers and its spool; opens no shard."""

    out: Annotated[str, tyro.conf.arg(aliases=["--data"])] = "data/"
    json: bool = False
    """Print numbers for a machine."""

    def run(self) -> int:
        from scenegen.jobs.config_file import require_config
        from scenegen.jobs.status import describe, look

        root = open_root(self.out)
        status = look(root, require_config(root).config)
        sys.stdout.write((json.dumps(status.to_dict()) if self.json else describe(root, status)) + "\n")
        return EXIT_DONE


@dataclass(frozen=True)
class Merge:
    """Write dataset.json and the data card of a finished dataset; `render` does it by itself at the end.

    Also removes temporary files that killed processes left, so run it while nothing renders into the folder.
    """

    out: Annotated[str, tyro.conf.arg(aliases=["--data"])] = "data/"

    def run(self) -> int:
        from scenegen.jobs.config_file import require_config
        from scenegen.jobs.status import look
        from scenegen.shards.merge import merge, remove_leftovers

        root = open_root(self.out)
        config = require_config(root).config
        index = merge(root, config, look(root, config).ledgers)
        remove_leftovers(root)
        tell(f"{self.out}: {index.num_shards} shards, {index.totals['views']} views, {index.totals['bytes']} bytes")
        return EXIT_DONE


@dataclass(frozen=True)
class Verify:
    """Check every hash, every row, and that every scene is there once; exit code 1 if not. Changes nothing.

    Depth sidecars and objects tables are checked as well, where there are any.
    """

    out: Annotated[str, tyro.conf.arg(aliases=["--data"])] = "data/"
    deep: bool = False
    """Also check with an independent engine that no two objects of a scene interpenetrate."""
    objects: str | None = None
    """Where the objects tables are, if not beside the views."""
    workers: int = 1
    """Shards looked at at a time."""

    def run(self) -> int:
        from scenegen.jobs.verify_command import verify

        root = open_root(self.out)
        objects = open_root(self.objects) if self.objects else root
        return EXIT_DONE if verify(root, self.deep, self.workers, objects) else EXIT_ERROR


def for_preset(command: type[CommandT], arguments: Sequence[str]) -> CommandT:
    """The defaults of a command that takes a preset, for the --preset that is named on its command line."""
    named = DEFAULT_PRESET
    for position, argument in enumerate(arguments):
        if argument == "--preset" and position + 1 < len(arguments):
            named = arguments[position + 1]
        elif argument.startswith("--preset="):
            named = argument.removeprefix("--preset=")
    return command(preset=named if named in PRESETS else preset(named, 1))  # type: ignore[call-arg]


def open_root(location: str) -> Root:
    """Raises UsageError for a URI of an unknown kind."""
    try:
        return Root.open(location)
    except ValueError as error:
        raise UsageError(str(error)) from None


def tell(line: str) -> None:
    """A line for people about the command as a whole."""
    sys.stderr.write(f"scenegen: {line}\n")
