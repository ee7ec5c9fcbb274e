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
    """Prepared asset stores: "starter" (in this package) or folders that `scenegen assets prepare` has made."""
    hdris: tuple[str, ...] = ("bpy",)
    """Environment maps: "bpy" (the CC0 maps in Blender's wheel) and folders of .exr and .hdr files."""
    materials: tuple[str, ...] = ("procedural",)
    """Materials of floor and walls: "procedural" (the built-in families) and folders of PBR texture sets or of .blend
    materials."""
    split: Annotated[Split, tyro.conf.arg(aliases=["--split"])] = "train"
    """Only assets of this split are used."""
    licences: Annotated[tuple[str, ...], tyro.conf.arg(aliases=["--licences"])] = ()
    """Only assets of these licences are used, as SPDX ids. Default: all."""
    min_aesthetic_score: float | None = None
    """Leave out assets whose score is known and lower."""
    max_faces: int | None = None
    """Leave out assets with more faces."""


@dataclass(frozen=True)
class RoomConfig:
    """Floor and walls; the defaults are the official sizes.

    Frame: z up, the objects stand around the origin.
    """

    floor_size_m: float = 7.5
    """Side of the square floor."""
    floor_z_m: float = -0.5
    """Height of the floor in world coordinates."""
    wall_height_m: float = 7.5
    """Height of the walls above the floor."""
    wall_count_weights: tuple[float, float, float, float, float] = (0.2, 0.1, 0.2, 0.25, 0.25)
    """Relative frequency of 0, 1, 2, 3 and 4 walls; scenes without walls are outdoors."""
    wall_margin_m: float = 0.5
    """A wall is hidden from a camera that is behind it or nearer to it than this."""
    material_scale: tuple[float, float] = (0.6, 1.6)
    """Range from which the scale of each material's pattern is drawn."""


@dataclass(frozen=True)
class LightConfig:
    """Environment light and lamps."""

    strength: tuple[float, float] = (0.6, 1.6)
    """Range of the environment map's strength, drawn log-uniformly."""
    rotate: bool = True
    """Rotate the environment map by a random angle."""
    lamp_probability: float = 0.6
    """Share of scenes with one to three area lamps above the objects."""


@dataclass(frozen=True)
class PlacementConfig:
    """Objects on the floor, without interpenetration.

    Supplement section 5.
    """

    num_objects: tuple[int, int] = (20, 20)
    """Range of the number of objects in a scene, both ends included."""
    area_m: float = 5.0
    """Side of the square in which objects are placed."""
    scale: tuple[float, float] = (0.5, 2.0)
    """Range of the longest side of an object, in metres."""
    max_attempts: int = 100
    """Draws of scale, rotation and position before an object is left out."""
    redraw_scale: bool = True
    """Draw the scale anew at each attempt (the paper's rule), instead of once for each object."""
    largest_first: bool = True
    """Where the scale is drawn once, place the largest objects first (the paper states no order)."""
    clearance_m: float = 0.002
    """Objects keep at least this distance from each other."""
    contact_gap_m: float = CONTACT_GAP_M
    """The lowest point of an object is this far above the floor, and no point of it is nearer to a wall."""


@dataclass(frozen=True)
class CameraConfig:
    """Cameras that look at the scene's centre; the defaults are the official distribution.

    1/r^2 is uniform, the field of view is tied to the radius r, the sine of the elevation is uniform.
    """

    num_views: int = 30
    """Views of each scene."""
    resolution_px: int = 1024
    """Width and height of the images."""
    fov_deg: tuple[float, float] = (20.0, 70.0)
    """Range of the horizontal field of view."""
    max_elevation_sin: float = 2.0 / 3.0
    """Sine of the highest elevation of a camera above the centre."""
    framed_radius_m: float = 1.7320508075688772
    """Radius of the sphere around the target that every view frames exactly."""
    target_jitter_m: float = 0.0
    """The point that a camera looks at is moved by up to this far along each axis."""
    roll_deg: float = 0.0
    """The largest roll of a camera, to either side."""
    free_fov: bool = False
    """Draw field of view and distance independently, instead of tying them."""


@dataclass(frozen=True)
class VisibilityConfig:
    """The ray-cast pre-pass that rejects views before they are rendered."""

    prepass_px: int = 96
    """Width and height of the image that is cast."""
    min_clearance_m: float = 0.25
    """Least distance from the camera to the nearest surface."""
    usable_share: float = 0.005
    """An object is usable in a view if it covers this share of the pixels (the official training filter)."""
    min_usable_objects: int = 3
    """Least number of objects that must be usable in a view."""
    min_usable_fraction: float = 0.5
    """Least fraction of the scene's objects that must be usable in a view."""
    max_candidates: int = 8
    """Cameras that are tried for one view before the best of them is taken."""


@dataclass(frozen=True)
class RenderConfig:
    """Cycles settings of the RGB image.

    The exact passes (depth, ids, normals) always take one sample through the pixel centre.
    """

    # With the threshold below the samples are those of the official generator, so that the image error is its error.
    # What is saved is the synchronisation of every view: tests/benchmarks/results/render_quality.md. 192 samples at
    # a threshold of 0.03 cost a fifth less and have 1.06 times the error.
    samples: int = 128
    """The most samples of a pixel; the default is the official generator's."""
    adaptive_threshold: float = 0.01
    """Noise level at which a pixel gets no more samples; 0 gives every pixel all of them."""
    denoise: bool = True
    """Denoise the image with OpenImageDenoise."""
    diffuse_bounces: int = 1
    """The most diffuse reflections of a light path."""
    glossy_bounces: int = 1
    """The most glossy reflections of a light path."""
    transmission_bounces: int = 3
    """The most refractions of a light path."""
    transparent_bounces: int = 3
    """The most transparent surfaces that a light path crosses."""
    adaptive_min_samples: int = 0
    """Least samples of a pixel before its noise is looked at; 0 lets Cycles choose."""
    sampling_pattern: Literal["BLUE_NOISE", "TABULATED_SOBOL"] = "BLUE_NOISE"
    """Cycles' sampling pattern; measured over several seeds, the two are equally good."""
    denoising_prefilter: Literal["ACCURATE", "FAST", "NONE"] = "ACCURATE"
    """Prefilter of the denoiser's guiding passes."""
    view_transform: str = "AgX"
    """Blender's view transform from scene light to sRGB."""
    albedo: bool = False
    """Also store the diffuse colour of every pixel (black for metals)."""
    transparent: Transparent = "first"
    """What depth, ids and normals show where glass stands in front: the first surface, the first opaque surface
    instead, or both in columns of their own (scenegen/contract/README.md)."""


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
