"""Options that several commands share: what a dataset holds, and how it is computed."""

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

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
from scenegen.errors import UsageError

if TYPE_CHECKING:
    from scenegen.contract.storage import Root

DEFAULT_PRESET = "arsg"
_FROM_PRESET: Any = None  # filled in by __post_init__

CommandT = TypeVar("CommandT")


@dataclass(frozen=True, kw_only=True)
class DatasetOptions:
    """Options of what the dataset holds: a preset, and whatever is changed on top of it."""

    num_scenes: int | None = None
    """Number of scenes; required, unless --resume-config takes it from the stored config."""
    preset: str = DEFAULT_PRESET
    """Defaults of all that decides what is made: arsg (the paper's dataset, 30 views of 1024 px a scene) or preview (2
    views of 256 px)."""
    seed: int = 0
    """The seed of everything random; the same seed and options make the same scenes on any machine."""
    scenes_per_shard: int = _FROM_PRESET
    """A shard is the unit of work, of resuming and of verification."""
    renderer: Literal["blender", "boxes"] = "blender"
    """blender; or boxes, which draws bounding boxes in NumPy: to try the machinery, never for data."""
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
    """Where to render; a device that is asked for and missing is an error."""
    ray_address: str | None = None
    """A running Ray cluster: auto, or host:port. Without it, Ray is started on this machine for this command."""
    scene_timeout: float | Literal["auto"] = "auto"
    """Seconds after which a scene is stopped and recorded as failed; auto is 900, or more where a forecast says so."""

    def job_config(self, **more: Any) -> JobConfig:
        return JobConfig(
            workers=None if self.workers == "auto" else self.workers,
            device=self.device,
            ray_address=self.ray_address,
            scene_timeout_s=None if self.scene_timeout == "auto" else self.scene_timeout,
            **more,
        )


def for_preset(command: type[CommandT], arguments: Sequence[str]) -> CommandT:
    """The defaults of a command that takes a preset, for the --preset that is named on its command line."""
    named = DEFAULT_PRESET
    for position, argument in enumerate(arguments):
        if argument == "--preset" and position + 1 < len(arguments):
            named = arguments[position + 1]
        elif argument.startswith("--preset="):
            named = argument.removeprefix("--preset=")
    return command(preset=named if named in PRESETS else preset(named, 1))  # type: ignore[call-arg]


def open_root(location: str) -> "Root":
    """Raises UsageError for a URI of an unknown kind."""
    from scenegen.contract.storage import Root

    try:
        return Root.open(location)
    except ValueError as error:
        raise UsageError(str(error)) from None


def tell(line: str) -> None:
    """A line for people about the command as a whole."""
    sys.stderr.write(f"scenegen: {line}\n")
