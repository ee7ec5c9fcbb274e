"""The options of the objects tables that a user may set, and their presets: plain data, without torch."""

from dataclasses import dataclass, fields
from typing import Literal

from scenegen.config import preset
from scenegen.errors import UsageError

STEPS = ("geometry", "views", "features", "latents")
"""In the order in which they depend on each other; each fills one table."""


@dataclass(frozen=True)
class ObjectOptions:
    """How the objects tables are made; the defaults are the official sizes."""

    extractor: str = "dinov2"
    """Image encoder whose features are averaged into voxels: dinov2, or efficientnet_lite0, which needs no download."""
    condition_views: int = 24
    """Random views of each asset alone, as an unoccluded photograph shows it."""
    condition_px: int = 1024
    """Width and height of these views."""
    crop_px: int = 518
    """Width and height of the crop of such a view that image encoders see."""
    feature_views: int = 150
    """Views that cover the sphere evenly, for the voxel features."""
    feature_px: int = 512
    """Width and height of these views."""
    samples: int = 128
    """The most samples of a pixel."""
    visibility: Literal["seen", "all"] = "seen"
    """Average the features over the views that see a voxel, or over all views as the official code does."""
    latents_name: str = "trellis"
    """Name of the latents table: whose encoders have made it."""
    rotations: int = 16
    """Rotations of each asset in the latents table, the canonical pose included."""
    objects_per_shard: int = 16
    """A shard is the unit of work and of resuming."""
    object_seed: int = 0
    """The seed of cameras and rotations."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            least = 0 if field.name == "object_seed" else 1
            if isinstance(value, int) and value < least:
                raise UsageError(f"{field.name.replace('_', '-')} is {value}; it must be at least {least}")
        if not self.latents_name.replace("_", "").isalnum() or self.latents_name != self.latents_name.lower():
            raise UsageError(f"latents-name is {self.latents_name!r}; use lower-case letters, digits and _")


def object_preset(name: str) -> ObjectOptions:
    """The options that belong to a preset of scenes. Raises UsageError for an unknown name."""
    preset(name, 1)  # raises for an unknown name
    if name == "preview":
        return ObjectOptions(
            extractor="efficientnet_lite0",
            condition_views=4,
            condition_px=128,
            crop_px=128,
            feature_views=12,
            feature_px=128,
            samples=16,
            rotations=4,
        )
    return ObjectOptions()
