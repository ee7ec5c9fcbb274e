"""What a completion answers: outcomes, results and progress as plain data.

Shapes: V voxels or vertices, F faces. Frames: a cube maps its unit cube [-0.5, 0.5]^3 outwards. The fine cube lies in
the coarse cube, and the coarse cube in the world (z up, in the units of the given depth).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from pipelines.complete.settings import Samplers
from pipelines.complete.view import Camera

if TYPE_CHECKING:
    from models.gaussian_decoder import Gaussians
    from pipelines.frames import Cube

Outcome = Literal["completed", "skipped", "failed"]
"""skipped: the input does not show enough of the object. failed: the networks found no object."""

Step = Literal["observe", "encode", "coarse", "fine", "texture", "mesh", "gaussians"]
STEPS: tuple[Step, ...] = ("observe", "encode", "coarse", "fine", "texture", "mesh", "gaussians")


class InstanceFailure(RuntimeError):
    """One instance failed; the others continue. Takes the place of its result."""


@dataclass(frozen=True)
class Placement:
    """A cube in its outer frame: p_outer = p * side + centre."""

    centre: tuple[float, float, float]
    side: float

    @classmethod
    def of(cls, cube: Cube) -> Placement:
        x, y, z = cube.centre_3.tolist()
        return cls((x, y, z), float(cube.side))

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
    """What became of one instance. Fields of steps that it did not reach are None.

    reason: why it was skipped or failed, a sentence for people.
    cut_by_border: its mask touches the border of the image, so that part of the object lies outside.
    seed: the seed of its noise.
    points: the number of its pixels with depth that were used.
    visible_share: the share of the fine voxels that the image shows inside the mask.
    partial_V3, coarse_V3: (V, 3) uint8 voxels of the coarse cube, visible and completed.
    fine_V3: (V, 3) uint8 completed voxels of the fine cube.
    coarse, fine: the cubes.
    mesh, gaussians: in the fine cube.
    seconds: wall time by step, as its share of each batch that it was computed in.
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
        """(4, 4) float64: from the object's cube to the world, through the fine and the coarse cube.

        Raises ValueError if the instance was not placed.
        """
        if self.coarse is None or self.fine is None:
            raise ValueError(f"instance {self.instance_id} was not placed: {self.reason}")
        return self.coarse.T_outer_cube @ self.fine.T_outer_cube


@dataclass(frozen=True)
class Completion:
    """A completed scene.

    checkpoint: the name that the checkpoint gives itself.
    instances: in the order of the masks.
    camera: the one that was used.
    seconds: wall time by step.
    peak_bytes: of device memory on CUDA, of the process on the CPU.
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
    """How far a step is: `done` of its `total` parts, for these instances."""

    step: Step
    done: int
    total: int
    instance_ids: tuple[int, ...]


StepDone = Callable[[int], None]
"""Called with the number of sampler steps that are done."""
ProgressCallback = Callable[[Progress], None]
InstanceCallback = Callable[[InstanceCompletion], None]
"""Called for an instance whenever more is known of it: its voxels after a step, or why it goes no further."""


def ignore(_: Progress | InstanceCompletion) -> None:
    """A callback that does nothing."""
