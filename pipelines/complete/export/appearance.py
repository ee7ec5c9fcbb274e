"""How an object is coloured and how fine its mesh is, as the caller wants it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from pipelines.complete.export.bake import textured
from pipelines.complete.export.colour_field import colour_field
from pipelines.complete.export.scene import SceneObject
from pipelines.complete.export.simplify import simplified
from pipelines.complete.results import InstanceCompletion

ColourSource = Literal["mesh", "gaussians"]
TEXTURED_FACES = 20_000  # charts of more take minutes


@dataclass(frozen=True)
class Dress:
    """colours: whose. texture: edge of a baked texture, None for vertex colours. max_faces: None for all there are, or
    20,000 with a texture."""

    colours: ColourSource = "mesh"
    texture: int | None = None
    max_faces: int | None = None

    def __call__(self, one: InstanceCompletion, thing: SceneObject) -> SceneObject:
        max_faces = self.max_faces or (TEXTURED_FACES if self.texture else None)
        if self.colours == "mesh" and max_faces is None and self.texture is None:
            return thing
        field = colour_field(one, self.colours)
        if self.colours != "mesh":
            thing = replace(thing, colours_V3=field(thing.vertices_V3))
        if max_faces is not None:
            thing = simplified(thing, max_faces, field)
        return thing if self.texture is None else textured(thing, field, self.texture)
