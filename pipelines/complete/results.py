"""What completion is asked and what it answers: settings, outcomes and results as plain data.

Shapes: V voxels or vertices, F faces, N latent voxels. Frames: cubes map their unit cube [-0.5, 0.5]^3 outwards, the
fine cube lies in the coarse one, the coarse one in the world (z up, units of the given depth).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pipelines.complete.view import Camera, Fit
from pipelines.samplers import SamplerConfig

if TYPE_CHECKING:
    from models.gaussian_decoder import Gaussians

Outcome = Literal["completed", "skipped", "failed"]
"""skipped: the input does not show enough of the object. failed: the networks made nothing of it."""


class InstanceFailure(RuntimeError):
    """The networks made nothing of one instance; the others go on. Takes the place of its result."""


Step = Literal["observe", "encode", "coarse", "fine", "texture", "mesh", "gaussians"]
STEPS: tuple[Step, ...] = ("observe", "encode", "coarse", "fine", "texture", "mesh", "gaussians")


MeshColours = Literal["mesh", "image"]
"""mesh: as the mesh decoder says. image: as the image shows the nearest visible points."""


@dataclass(frozen=True)
class Samplers:
    """How each flow is integrated; the official values are the checkpoint's own."""

    coarse: SamplerConfig = field(default_factory=SamplerConfig)
    fine: SamplerConfig = field(default_factory=SamplerConfig)
    texture: SamplerConfig = field(default_factory=SamplerConfig)

    def with_all(self, **changes: Any) -> Samplers:
        """The same change to all three."""
        return Samplers(*(replace(one, **changes) for one in (self.coarse, self.fine, self.texture)))


@dataclass(frozen=True)
class Settings:
    """What a caller may choose.

    samplers: None for the checkpoint's own. gaussians: decode Gaussians as well as meshes.
    clean: take away what cannot be seen of a mesh from outside, and close small holes.
    fit: how the encoders see an image that is not square.
    min_points: fewer visible points than this are too few to place a cube around; with fewer off the outline of the
        mask, those on it count as well.
    colours: of meshes; None for the checkpoint's own choice.
    carve: take away voxels that the image sees through, and crumbs; None for the checkpoint's own choice.
    thin: of thick walls of fine voxels keep the middle, and smooth their meshes; None for the checkpoint's own choice.
    """

    samplers: Samplers | None = None
    gaussians: bool = True
    clean: bool = True
    fit: Fit = "letterbox"
    min_points: int = 16
    colours: MeshColours | None = None
    carve: bool | None = None
    thin: bool | None = None


DEFAULT_SETTINGS = Settings()


@dataclass(frozen=True)
class Placement:
    """A cube in its outer frame: p_outer = p * side + centre."""

    centre: tuple[float, float, float]
    side: float

    @property
    def T_outer_cube(self) -> np.ndarray:
        """(4, 4) float64."""
        T = np.diag([self.side, self.side, self.side, 1.0])
        T[:3, 3] = self.centre
        return T


@dataclass(frozen=True)
class ColouredMesh:
    """vertices_V3: float32 in the object's cube [-0.5, 0.5]^3. faces_F3: int64, counter-clockwise from outside.

    colours_V3: uint8 sRGB; None if the mesh decoder has no colour head.
    """

    vertices_V3: np.ndarray
    faces_F3: np.ndarray
    colours_V3: np.ndarray | None


@dataclass(frozen=True)
class InstanceCompletion:
    """What became of one instance; what was not reached is None.

    reason: of a skip or a failure, for people. cut_by_border: its mask touches the image's border, so that part of the
    object lies outside. seed: of its noise. visible_share: of the fine voxels, how many the image shows in the mask.
    points: how many pixels with depth were used. partial_V3, coarse_V3: (V, 3) uint8 voxels of the coarse cube, seen
    and completed. fine_V3: of the fine cube. coarse, fine: the cubes. seconds: by step, its share of the batch it was
    computed in.
    """

    instance_id: int
    outcome: Outcome
    reason: str = ""
    cut_by_border: bool = False
    seed: int = 0
    points: int = 0
    visible_share: float | None = None
    partial_V3: np.ndarray | None = None
    coarse_V3: np.ndarray | None = None
    fine_V3: np.ndarray | None = None
    coarse: Placement | None = None
    fine: Placement | None = None
    mesh: ColouredMesh | None = None
    gaussians: Gaussians | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def T_world_obj(self) -> np.ndarray:
        """(4, 4) float64: the object's cube to the world, through the fine and the coarse cube.

        Raises ValueError if the instance did not get that far.
        """
        if self.coarse is None or self.fine is None:
            raise ValueError(f"instance {self.instance_id} was not placed: {self.reason}")
        return self.coarse.T_outer_cube @ self.fine.T_outer_cube


@dataclass(frozen=True)
class Completion:
    """A completed scene.

    checkpoint: the name that the checkpoint gives itself. instances: in the order of the masks. camera: that was used.
    seconds: wall time by step. peak_bytes: of device memory on CUDA, of the process on the CPU.
    """

    checkpoint: str
    instances: tuple[InstanceCompletion, ...]
    camera: Camera
    seed: int
    depth_ratio: float
    samplers: Samplers
    device: str
    seconds: Mapping[str, float] = field(default_factory=dict)
    peak_bytes: int | None = None

    @property
    def completed(self) -> tuple[InstanceCompletion, ...]:
        return tuple(one for one in self.instances if one.outcome == "completed")

    def __getitem__(self, instance_id: int) -> InstanceCompletion:
        """Raises KeyError."""
        for one in self.instances:
            if one.instance_id == instance_id:
                return one
        raise KeyError(f"no instance {instance_id}; there are {[one.instance_id for one in self.instances]}")


@dataclass(frozen=True)
class Progress:
    """Said while a scene is being completed: `done` of `total` parts of a step, for these instances."""

    step: Step
    done: int
    total: int
    instance_ids: tuple[int, ...]


Observer = Callable[[Progress], None]
Watcher = Callable[[InstanceCompletion], None]
"""Told of an instance whenever more is known of it: its voxels after a step, or why it goes no further."""


def silent(_: Progress | InstanceCompletion) -> None:
    """An observer or a watcher that does nothing."""
