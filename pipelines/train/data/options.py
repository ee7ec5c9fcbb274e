"""Which data are trained on, and how they are varied."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pipelines.errors import UsageError
from pipelines.train.data.locations import DataLocation
from pipelines.train.data.randomness import RotationAxis
from pipelines.train.data.readers import Readers
from scenegen.contract.objects import FEATURES_PREFIX, LATENTS_PREFIX, OBJECTS, VIEWS

AlphaRule = Literal["official", "uniform", "estimate", "truth"]
"""How the share alpha of estimated depth is drawn: min(1, 1.01 U), U, always 1, always 0; U uniform in [0, 1)."""

Oversize = Literal["reject", "rescale", "squash"]
"""What becomes of an object that is larger than the coarse cube around its visible part. reject: another sample is
taken. rescale: the cube grows until the object fits, up to a limit. squash: what sticks out is moved onto the walls
(official)."""


@dataclass(frozen=True)
class Augmentation:
    """How a sample's cube is turned and jittered, and how images lose resolution.

    rotation: probability of a random rotation. axis: about which; "vertical" keeps up up, as it is in scenes whose
    camera's pose is known. scale: range of the factor on the object's size in its cube.
    shift: largest move along each axis, in edges of the cube. resize_probability: of scaling an image down to
    `resize_px` or more and back.
    hidden: range of the share of a lone object's view that something covers. seen_as: the cube of a lone object; its
    own bounding cube, or one of the two that a scene would give it, by lot.
    """

    rotation: float = 1.0
    axis: RotationAxis = "any"
    scale: tuple[float, float] = (0.9, 1.1)
    shift: float = 0.05
    resize_probability: float = 0.5
    resize_px: int = 32
    hidden: tuple[float, float] = (0.0, 0.0)
    seen_as: Literal["whole", "in_scenes"] = "whole"


NO_AUGMENTATION = Augmentation(rotation=0.0, scale=(1.0, 1.0), shift=0.0, resize_probability=0.0)


@dataclass(frozen=True)
class DataOptions:
    """What decides a sample beside its number, the seed and the epoch.

    image_px: edge S of the encoders' images. estimators: depth estimators to draw from; None for all that every shard
    of a dataset has. alpha: see AlphaRule; a number is always that. oversize: see Oversize.
    largest_growth: of a rescaled cube, as a factor; objects that need more are rejected.
    min_pixel_ratio: smallest share of the image that an object must cover. min_interior_px: fewest pixels off its
    outline. max_voxels: of a structured latent. max_mesh_faces: of a mesh that is voxelised.
    held_out: share of assets kept for validation where a dataset has only one split.
    extractor: features in voxels for SLAT stages. latents: table of stored latents; None encodes online.
    views_per_sample: renders that decoders are trained on.
    per_view: most objects of one view that come together in a batch; decoding a view is a quarter to a half of the
    work of its first sample, and encoding its scene a sixth of a step's encoding.
    bad_rows: raise, or take another sample. bad_row_budget: how many, as a share of what was loaded.
    """

    locations: tuple[DataLocation, ...]
    image_px: int = 518
    estimators: tuple[str, ...] | None = None
    alpha: AlphaRule | float = "official"
    oversize: Oversize = "rescale"
    largest_growth: float = 2.0
    min_pixel_ratio: float = 0.005
    min_interior_px: int = 16
    max_voxels: int = 32_768
    max_mesh_faces: int = 500_000
    held_out: float = 0.05
    extractor: str | None = None
    latents: str | None = None
    views_per_sample: int = 4
    augmentation: Augmentation = field(default_factory=Augmentation)
    per_view: int = 4
    bad_rows: Literal["raise", "replace"] = "raise"
    bad_row_budget: float = 0.001

    def __post_init__(self) -> None:
        if not self.locations:
            raise UsageError("there are no data to train on; give at least one folder with --shards")
        for location in self.locations:
            if not location.weight > 0:
                raise UsageError(f"the weight {location.weight:g} of {location.shards} is not positive; leave it out")
        if self.per_view < 1:
            raise UsageError(f"{self.per_view} objects of a view cannot come together; give 1 or more")
        if not 0 <= self.held_out < 1:
            raise UsageError(f"a share of {self.held_out:g} of the assets cannot be held out; give one in [0, 1)")

    def describe(self) -> dict[str, Any]:
        """As JSON, for digests: what the data are, but not where they lie; and everything but the rule for bad rows.

        Reads the data's metadata. Raises UsageError if they are not there.
        """
        options = asdict(self)
        for name in ("locations", "bad_rows", "bad_row_budget"):
            del options[name]
        tables = {OBJECTS, VIEWS, f"{FEATURES_PREFIX}{self.extractor}", f"{LATENTS_PREFIX}{self.latents}"}
        pairs = zip(Readers(self.locations).describe(tables), self.locations, strict=True)
        return {**options, "datasets": [{**fact, "weight": location.weight} for fact, location in pairs]}
