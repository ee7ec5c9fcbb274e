"""How the meshes of a scene look in its files: where their colours come from, how many faces they have, and whether
they have a texture or vertex colours."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from pipelines.complete.export.bake import textured
from pipelines.complete.export.colour_field import colour_field
from pipelines.complete.export.scene import SceneObject
from pipelines.complete.export.simplify import simplified
from pipelines.complete.results import InstanceCompletion

ColourSource = Literal["mesh", "gaussians"]
TEXTURED_FACES = 20_000  # with more faces, making the charts takes minutes


@dataclass(frozen=True)
class Appearance:
    """colours: where they come from.

    texture: edge of a baked texture in pixels; None for vertex colours.
    max_faces: None for all faces, or for 20,000 with a texture.
    """

    colours: ColourSource = "mesh"
    texture: int | None = None
    max_faces: int | None = None

    def packages(self) -> tuple[str, ...]:
        """The packages that it needs."""
        xatlas = ("xatlas",) if self.texture else ()
        return (*xatlas, "fast_simplification") if self.texture or self.max_faces else xatlas

    def __call__(self, one: InstanceCompletion, plain: SceneObject) -> SceneObject:
        """plain: the object as it was decoded. Raises UsageError and PipelineError."""
        max_faces = self.max_faces or (TEXTURED_FACES if self.texture else None)
        if self.colours == "mesh" and max_faces is None and self.texture is None:
            return plain
        field = colour_field(one, self.colours)
        changed = plain if self.colours == "mesh" else replace(plain, colours_V3=field(plain.vertices_V3))
        if max_faces is not None:
            changed = simplified(changed, max_faces, field)
        return changed if self.texture is None else textured(changed, field, self.texture)
