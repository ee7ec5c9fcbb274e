"""What is asked of Blender for one asset, and what it answers: plain data, so that assets/ needs no bpy."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class PrincipledLook:
    """A material in today's terms. Colours are linear RGB. keep_texture: the image on the base colour stays."""

    base_color: tuple[float, float, float]
    metallic: float = 0.0
    roughness: float = 0.5
    alpha: float = 1.0
    emission: float = 0.0
    keep_texture: bool = True


@dataclass(frozen=True, slots=True)
class BakeRequest:
    """One asset to bring into canonical form.

    root: the folder that the file and everything it refers to must lie in.
    rotation: row-major 3x3 applied in Blender's frame (z up) before normalisation, for sources that record one.
    looks: material name -> look, for old material models that the importer cannot know.
    simplify_faces: decimate above this many faces; None keeps all.
    """

    uid: str
    path: Path
    root: Path
    texture_px: int = 2048
    max_faces: int = 1_000_000
    simplify_faces: int | None = None
    allow_missing_textures: bool = False
    rotation: tuple[float, ...] | None = None
    looks: tuple[tuple[str, PrincipledLook], ...] = ()


@dataclass(frozen=True, slots=True)
class BakedAsset:
    """What was baked."""

    faces: int
    textured: bool
    missing_textures: tuple[str, ...] = ()
