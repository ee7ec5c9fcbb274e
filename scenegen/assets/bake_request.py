"""What Blender is asked to do with one asset, and its answer: plain data, so that this package needs no bpy."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class PrincipledLook:
    """Inputs of a Principled shader. Colours are linear RGB. keep_texture: keep an image on the base colour."""

    base_color: tuple[float, float, float]
    metallic: float = 0.0
    roughness: float = 0.5
    alpha: float = 1.0
    emission: float = 0.0
    keep_texture: bool = True


@dataclass(frozen=True, slots=True)
class BakeRequest:
    """One asset to bring into canonical form.

    path: the model file. root: the folder that must contain it and everything it refers to. texture_px: largest side.
    rotation: row-major 3x3 applied in Blender's frame (z up) before normalisation, for sources that record one.
    looks: (material name, look), for old material models that the importer does not know.
    max_faces: more are refused. simplify_faces: more are decimated; None keeps all.
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
    """What was baked. faces: triangles. missing_textures: names of images that were not found."""

    faces: int
    textured: bool
    missing_textures: tuple[str, ...] = ()
