"""What a caller may choose of a completion, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pipelines.complete.view import Fit
from pipelines.samplers import SamplerConfig

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
    """What a caller may choose; None leaves the choice to the checkpoint.

    samplers: how the flows are integrated.
    gaussians: decode Gaussians as well as meshes.
    clean: remove the faces of a mesh that cannot be seen from outside, and close small holes.
    fit: how the encoders see an image that is not square.
    min_points: fewer visible points than this are too few to place a cube around. With fewer inside the outline of the
        mask, those on the outline count as well.
    colours: where meshes get their colours from.
    carve: remove voxels that stand in front of what the image sees, and floaters.
    thin: keep only the middle of walls that are several fine voxels thick, and smooth the meshes.
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
