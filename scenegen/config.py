"""What a dataset is made of: frozen dataclasses with the defaults in one place, presets, and a digest.

A dataset's identity is its `DatasetConfig`. How it is computed (workers, device, time limits) is `JobConfig`
and never changes what is in the rows.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_args, get_type_hints

import tyro

from scenegen.errors import UsageError

DEFAULT_SCENE_TIMEOUT_S = 900.0
CONTACT_GAP_M = 0.001
"""What lies exactly in the floor's plane is a toss-up: its ids and depth are in part the floor's, and its light is
blocked by the floor (a rug was black). Cycles and Embree tell the two apart from 1 micrometre up, at 10 m (measured on
CPUs; scenegen/layout/README.md). A millimetre is also more than the error of the stored depth (0.2 mm) and the
tolerance of poses (0.1 mm), so that the order of the two survives in the data, and still less than a pixel."""
Transparent = Literal["first", "opaque", "both"]
Split = Literal["train", "val", "test", "all"]


@dataclass(frozen=True)
class AssetsConfig:
    """Where objects, lights and materials come from."""

    objects: tuple[str, ...] = ("starter",)
    """Prepared asset stores: "starter" (embedded) or folders made by `scenegen assets prepare`."""
    hdris: tuple[str, ...] = ("bpy",)
    """ "bpy" (the CC0 maps inside the bpy wheel) and folders of .exr/.hdr files."""
    materials: tuple[str, ...] = ("procedural",)
    """ "procedural" (the built-in families) and folders of PBR texture sets or .blend materials."""
    split: Annotated[Split, tyro.conf.arg(aliases=["--split"])] = "train"
    """Only assets of this split are used."""
    licences: Annotated[tuple[str, ...], tyro.conf.arg(aliases=["--licences"])] = ()
    """SPDX ids to keep; empty keeps all."""
    min_aesthetic_score: float | None = None
    """Drop assets with a known lower score."""
    max_faces: int | None = None
    """Drop assets with more faces."""


@dataclass(frozen=True)
class RoomConfig:
    """Floor and walls (official sizes; frame: z up, object area around the origin)."""

    floor_size_m: float = 7.5
    floor_z_m: float = -0.5
    wall_height_m: float = 7.5
    wall_count_weights: tuple[float, float, float, float, float] = (0.2, 0.1, 0.2, 0.25, 0.25)
    """Relative weight of 0, 1, 2, 3, 4 walls; the first is the share of outdoor scenes."""
    wall_margin_m: float = 0.5
    """A wall is unseen by a camera that is beyond it or nearer to it than this."""
    material_scale: tuple[float, float] = (0.6, 1.6)


@dataclass(frozen=True)
class LightConfig:
    """Environment light and lamps."""

    strength: tuple[float, float] = (0.6, 1.6)
    """Exposure of the HDR map, log-uniform."""
    rotate: bool = True
    lamp_probability: float = 0.6
    """Share of scenes with one to three area lamps above the objects."""


@dataclass(frozen=True)
class PlacementConfig:
    """Objects on the floor, without interpenetration (supplement section 5)."""

    num_objects: tuple[int, int] = (20, 20)
    """Inclusive range of assets sampled for a scene."""
    area_m: float = 5.0
    scale: tuple[float, float] = (0.5, 2.0)
    max_attempts: int = 100
    redraw_scale: bool = True
    """Draw the scale anew at each attempt (the paper's rule), or draw it once and keep it."""
    largest_first: bool = True
    """Place assets of kept scales in the order of their size (the paper states none); redrawn ones go as sampled."""
    clearance_m: float = 0.002
    """Objects keep at least this distance from each other."""
    contact_gap_m: float = CONTACT_GAP_M
    """The lowest point of an object is this far above the floor, and no point of it is nearer to a wall."""


@dataclass(frozen=True)
class CameraConfig:
    """Official distribution: look-at centre, 1/r^2 uniform, fov tied to the radius, sin(elevation) uniform."""

    num_views: int = 30
    resolution_px: int = 1024
    fov_deg: tuple[float, float] = (20.0, 70.0)
    max_elevation_sin: float = 2.0 / 3.0
    framed_radius_m: float = 1.7320508075688772
    """Radius of the sphere around the target that every view frames exactly."""
    target_jitter_m: float = 0.0
    roll_deg: float = 0.0
    free_fov: bool = False
    """Draw fov and distance independently instead of tying them."""


@dataclass(frozen=True)
class VisibilityConfig:
    """The ray-cast pre-pass that rejects views before anything expensive is rendered."""

    prepass_px: int = 96
    min_clearance_m: float = 0.25
    """The camera's free distance to the nearest surface."""
    usable_share: float = 0.005
    """An instance is usable in a view when it covers this share of the pixels (official training filter)."""
    min_usable_objects: int = 3
    min_usable_fraction: float = 0.5
    """A view shows at least this fraction of the scene's objects usably."""
    max_candidates: int = 8
    """Candidates drawn for one view before the best of them is taken."""


@dataclass(frozen=True)
class RenderConfig:
    """Cycles settings of the beauty pass; the exact passes always take one sample through the pixel centre."""

    samples: int = 128
    """Most samples of a pixel; with the threshold below, those of the official generator, so that the image error is
    its error. What is saved is the synchronisation of every view: tests/benchmarks/results/render_quality.md."""
    adaptive_threshold: float = 0.01
    """Noise at which a pixel is done; 0 gives every pixel all samples. 192 samples at 0.03 cost a fifth less
    and have 1.06 times the error."""
    denoise: bool = True
    diffuse_bounces: int = 1
    glossy_bounces: int = 1
    transmission_bounces: int = 3
    transparent_bounces: int = 3
    adaptive_min_samples: int = 0
    """Samples before adaptive sampling may stop a pixel; 0 lets Cycles choose."""
    sampling_pattern: Literal["BLUE_NOISE", "TABULATED_SOBOL"] = "BLUE_NOISE"
    """Within the noise of the measurement the two are equal over several seeds."""
    denoising_prefilter: Literal["ACCURATE", "FAST", "NONE"] = "ACCURATE"
    view_transform: str = "AgX"
    albedo: bool = False
    """Also store the diffuse colour of every pixel (black for metals)."""
    transparent: Transparent = "first"
    """What depth, ids and normals show where glass stands in front: the first surface, the first opaque one instead,
    or both, each in columns of its own (scenegen/contract/README.md)."""


_BEFORE: dict[str, dict[str, Any]] = {"placement": {"contact_gap_m": 0.0}, "render": {"transparent": "first"}}
"""Settings by group that came after the first version, each with the value that stands for what was done before."""
_UNKNOWN = object()


@dataclass(frozen=True)
class DatasetConfig:
    """Everything that decides what the rows hold."""

    num_scenes: int
    seed: int = 0
    scenes_per_shard: int = 16
    renderer: Literal["blender", "boxes"] = "blender"
    """ "boxes" draws bounding boxes in NumPy: a quick stand-in for tests of the machinery, never for data."""
    assets: AssetsConfig = field(default_factory=AssetsConfig)
    room: RoomConfig = field(default_factory=RoomConfig)
    light: LightConfig = field(default_factory=LightConfig)
    placement: PlacementConfig = field(default_factory=PlacementConfig)
    camera: CameraConfig = field(default_factory=CameraConfig)
    visibility: VisibilityConfig = field(default_factory=VisibilityConfig)
    render: RenderConfig = field(default_factory=RenderConfig)

    def __post_init__(self) -> None:
        _check(self)

    @property
    def num_shards(self) -> int:
        return -(-self.num_scenes // self.scenes_per_shard)

    def shard_scenes(self, shard: int) -> range:
        """The scene indices of a shard: a fixed range, whoever makes it."""
        first = shard * self.scenes_per_shard
        return range(first, min(first + self.scenes_per_shard, self.num_scenes))

    def count_scenes(self, shards: Iterable[int]) -> int:
        """The number of scenes in these shards."""
        return sum(len(self.shard_scenes(shard)) for shard in shards)

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> "DatasetConfig":
        """The inverse of `to_dict`, also after a trip through JSON. Raises UsageError for what is not a config.

        A setting that an older version did not know has the value of what that version did (`_BEFORE`).
        """
        try:
            groups = {group: {**_BEFORE[group], **raw[group]} for group in _BEFORE if group in raw}
            return _rebuild(cls, {**raw, **groups})
        except (TypeError, AttributeError) as error:
            raise UsageError(f"this is not the configuration of a dataset of this version: {error}") from None

    @property
    def digest(self) -> str:
        """sha256 of the canonical JSON; two datasets with one digest hold the same scenes.

        Younger settings that say what was done before them are left out: an older dataset keeps its digest.
        """
        raw = self.to_dict()
        for group, before in _BEFORE.items():
            raw[group] = {name: value for name, value in raw[group].items() if before.get(name, _UNKNOWN) != value}
        return hashlib.sha256(json.dumps(raw, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class JobConfig:
    """How a dataset is computed. Nothing here changes what the rows hold."""

    workers: int | None = None
    """Worker processes; None fits them to the cores, memory and GPUs."""
    device: Literal["auto", "optix", "cuda", "cpu"] = "auto"
    ray_address: str | None = None
    """A running Ray cluster; None starts Ray on this machine for the run."""
    array: str = "auto"
    """ "auto" (Slurm, Kubernetes or all) or "I/N"."""
    scene_timeout_s: float | None = None
    """A scene that takes longer is stopped and recorded as failed. None: 900 s, or more where a forecast says so."""
    max_failed: float = 0.05
    """Share of failed scenes above which the command ends with code 3."""
    retry_failed: bool = False
    """Render scenes that are recorded as failed again."""
    recycle_scenes: int = 64
    """A worker's process is replaced after this many scenes."""
    recycle_rss_gb: float | None = None
    """A worker's process is replaced when it holds more memory; None takes its share of the machine."""
    start_pause_s: float = 10.0
    """Pause before a worker's process that died is started again."""

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"workers is {self.workers}; give auto or at least 1")
        if self.scene_timeout_s is not None and self.scene_timeout_s <= 0:
            raise UsageError(f"scene_timeout is {self.scene_timeout_s} s; it must be positive")
        if not 0 <= self.max_failed <= 1:
            raise UsageError(f"max_failed is {self.max_failed}; it is a share from 0 to 1")
        if self.recycle_scenes < 1:
            raise UsageError(f"recycle_scenes is {self.recycle_scenes}; it must be at least 1")

    @property
    def scene_limit_s(self) -> float:
        """The time limit in force."""
        return DEFAULT_SCENE_TIMEOUT_S if self.scene_timeout_s is None else self.scene_timeout_s


def _arsg(num_scenes: int) -> DatasetConfig:
    return DatasetConfig(num_scenes=num_scenes)


def _preview(num_scenes: int) -> DatasetConfig:
    return DatasetConfig(
        num_scenes=num_scenes,
        scenes_per_shard=8,
        camera=CameraConfig(num_views=2, resolution_px=256),
        render=RenderConfig(samples=16),
    )


PRESETS: dict[str, Callable[[int], DatasetConfig]] = {"arsg": _arsg, "preview": _preview}


def preset(name: str, num_scenes: int) -> DatasetConfig:
    """A named starting point; change it with `dataclasses.replace`.

    Raises UsageError for an unknown name or an impossible count.
    """
    if name not in PRESETS:
        raise UsageError(f"there is no preset {name!r}; choose one of {', '.join(sorted(PRESETS))}")
    return PRESETS[name](num_scenes)


def config_diff(stored: dict[str, Any], wanted: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Lines like "camera.resolution_px 1024 -> 512" for every value that differs."""
    for key in sorted(stored.keys() | wanted.keys()):
        old, new = stored.get(key), wanted.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from config_diff(old, new, f"{prefix}{key}.")
        elif old != new and not (isinstance(old, list | tuple) and isinstance(new, list | tuple) and [*old] == [*new]):
            yield f"{prefix}{key} {old} -> {new}"


def _rebuild(kind: Any, raw: Any) -> Any:
    """`raw` as a dataclass of this kind: nested ones rebuilt, JSON's lists back to tuples."""
    if not dataclasses.is_dataclass(kind):
        return tuple(raw) if isinstance(raw, list) else raw
    hints = get_type_hints(kind)
    return kind(**{name: _rebuild(hints.get(name), value) for name, value in raw.items()})  # type: ignore[operator]


def _check(config: DatasetConfig) -> None:
    """Refuse values that cannot be meant, before anything is written. Raises UsageError."""
    low, high = config.placement.num_objects
    positive = {
        "num_scenes": config.num_scenes,
        "scenes_per_shard": config.scenes_per_shard,
        "camera.num_views": config.camera.num_views,
        "camera.resolution_px": config.camera.resolution_px,
        "render.samples": config.render.samples,
        "placement.max_attempts": config.placement.max_attempts,
        "placement.num_objects": low,
    }
    for name, value in positive.items():
        if value < 1:
            raise UsageError(f"{name} is {value}; it must be at least 1")
    if config.seed < 0:
        raise UsageError(f"seed is {config.seed}; it must be 0 or more")
    ranges = {
        "placement.num_objects": (low, high),
        "placement.scale": config.placement.scale,
        "camera.fov_deg": config.camera.fov_deg,
        "light.strength": config.light.strength,
        "room.material_scale": config.room.material_scale,
    }
    for name, (first, last) in ranges.items():
        if not 0 < first <= last:
            raise UsageError(f"{name} is ({first}, {last}); give a positive range, the smaller value first")
    if sum(config.room.wall_count_weights) <= 0 or min(config.room.wall_count_weights) < 0:
        raise UsageError("room.wall_count_weights must be five weights of at least 0 with a positive sum")
    if config.render.transparent not in get_args(Transparent):
        raise UsageError(
            f"render.transparent is {config.render.transparent!r}; it is {', '.join(get_args(Transparent))}"
        )
    if not 0 <= config.placement.contact_gap_m < config.room.floor_size_m / 2:
        raise UsageError(
            f"placement.contact_gap_m is {config.placement.contact_gap_m}; give a small length such as 0.001"
        )
    if config.placement.area_m > config.room.floor_size_m:
        raise UsageError("placement.area_m is larger than room.floor_size_m; objects would stand beside the floor")
