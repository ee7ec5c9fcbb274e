"""The options of the data path: which data are trained on, and how samples are augmented."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pipelines.errors import UsageError
from pipelines.train.data.randomness import RotationAxis
from pipelines.train.data.readers import DataLocation, Readers
from scenegen.contract.objects import FEATURES_PREFIX, LATENTS_PREFIX, OBJECTS, VIEWS

AlphaRule = Literal["official", "uniform", "estimate", "truth"]
"""How alpha, the share of estimated depth, is drawn, with U uniform in [0, 1): official: min(1, 1.01 U). uniform: U.
estimate: always 1. truth: always 0."""

Oversize = Literal["reject", "rescale", "squash"]
"""What happens to an object that is larger than the coarse cube around its visible part. reject: another sample takes
its place. rescale: the cube grows until the object fits, up to a limit. squash: what lies outside is moved onto the
walls of the cube (official)."""


@dataclass(frozen=True)
class Augmentation:
    """How samples are augmented: rotation, scale and shift in the cube, resolution of images, occlusion.

    rotation: probability of a random rotation. axis: of the rotation; "vertical" keeps the up direction, which is known
    in scenes whose camera pose is known.
    scale: range of the factor on the object's size in its cube.
    shift: largest translation along each axis, in edges of the cube.
    resize_probability: of scaling an image down to an edge of at least `resize_px` and back up.
    hidden: range of the share of a lone object's view that is covered.
    seen_as: the cube of a lone object: "whole": its bounding cube; "in_scenes": the coarse or the fine cube that it
    would have in a scene, at random.
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
    """What decides a sample, together with its number, the seed and the epoch.

    image_px: edge S of the encoders' images.
    estimators: depth estimators to draw from; None for all that every shard of a dataset has.
    alpha: see AlphaRule, or a fixed number. oversize: see Oversize.
    largest_growth: largest factor on a rescaled cube; objects that need more are rejected.
    min_pixel_ratio: smallest share of the image that an object must cover.
    min_interior_px: smallest number of its pixels that are not on its outline.
    max_voxels: of a structured latent. max_mesh_faces: of a mesh that is voxelised.
    held_out: share of the assets that validate, where all assets of a dataset are of one split.
    extractor: name of the image features in voxels, for SLAT stages.
    latents: name of the table of stored latents; None to encode features while training.
    views_per_sample: renders of each sample that decoders are trained on.
    per_view: largest number of objects of one view that come together in a batch. (Decoding a view is a quarter to a
    half of the work of its first sample, and encoding its scene a sixth of the image encoding of a step.)
    bad_rows: "raise" ends training at a row that cannot be read; "replace" takes another sample.
    bad_row_budget: largest share of such rows among the samples loaded.
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
        """What decides the samples, as JSON for digests: the options but for bad rows, and what the data are.

        Where the data lie does not matter. Reads their metadata; raises UsageError if they do not exist.
        """
        options = asdict(self)
        for name in ("locations", "bad_rows", "bad_row_budget"):
            del options[name]
        tables = {OBJECTS, VIEWS, f"{FEATURES_PREFIX}{self.extractor}", f"{LATENTS_PREFIX}{self.latents}"}
        pairs = zip(Readers(self.locations).describe(tables), self.locations, strict=True)
        return {**options, "datasets": [{**fact, "weight": location.weight} for fact, location in pairs]}
