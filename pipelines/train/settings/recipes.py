"""The recipe of each stage: a function with the published numbers for each, and how smaller systems scale them.

Where the supplement and the released configs differ, a recipe holds both and says which one it uses.
Sources: 3D-Fixer supplement section 1 ("supplement"); the configs released with 3D-Fixer ("3D-Fixer configs") and with
TRELLIS ("TRELLIS configs"), whose step counts are upper limits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from models.compat import MENDED, ReferenceCompat
from pipelines.errors import UsageError
from pipelines.flow_matching import FlowPath
from pipelines.names import SizeName
from pipelines.samplers import SamplerConfig
from pipelines.train.data.options import NO_AUGMENTATION, Augmentation
from pipelines.train.data.sources.common import STRUCTURE_TOKENS
from pipelines.train.interfaces.stage import LoopRecipe
from pipelines.train.losses.gaussians import GaussianWeights
from pipelines.train.losses.images import ImageWeights
from pipelines.train.losses.meshes import MeshWeights

GRADIENT_BATCH = 128  # of every published stage


@dataclass(frozen=True)
class Published:
    """Steps and learning rate of a stage, as one source states them."""

    source: str
    steps: int
    learning_rate: float


@dataclass(frozen=True)
class Recipe(LoopRecipe):
    """What every stage needs: the numbers that the loop reads, and their source.

    takes: the source whose numbers are used. stated: the numbers of every source.
    augmentation: of the samples; None leaves it to the data options.
    quick_start: fresh networks call `start_quickly` if they have it, for runs of some hundreds of steps.
    """

    takes: str = ""
    stated: tuple[Published, ...] = ()
    augmentation: Augmentation | None = None
    quick_start: bool = False


@dataclass(frozen=True)
class FlowRecipe(Recipe):
    """Of a rectified flow.

    path: the distribution of training times t. drop_condition: probability that a sample's whole condition is zeroed,
    for classifier-free guidance.
    alignment_weight: weight of the loss that aligns features with the base's features of the clean object; 0: without.
    reference_compat: which bugs of the official code are reproduced.
    sampler: how samples are drawn for the stage's own measures; validation only.
    """

    path: FlowPath = field(default_factory=FlowPath)
    drop_condition: float = 0.1
    alignment_weight: float = 0.0
    reference_compat: ReferenceCompat = MENDED
    sampler: SamplerConfig = field(default_factory=lambda: SamplerConfig(steps=12, guidance=0.0))


@dataclass(frozen=True)
class StructureVaeRecipe(Recipe):
    """Of the structure VAE.

    dice_weight, cross_entropy_weight: of the occupancy losses. kl_weight: of the KL divergence per latent value.
    crop: edge, in voxels, of the part of the grid around an occupied voxel that is trained on; None: the whole grid.
    initial_log_variance: of the posterior of a fresh encoder. At 0, its noise would hide the mean for a long time.
    """

    dice_weight: float = 1.0
    cross_entropy_weight: float = 0.0
    kl_weight: float = 1e-3
    crop: int | None = None
    initial_log_variance: float = -6.0


@dataclass(frozen=True)
class SlatRecipe(Recipe):
    """Of a stage of structured latents. max_voxels: larger ones are left out (the data options may allow fewer)."""

    max_voxels: int = 32_768


@dataclass(frozen=True)
class SlatFlowRecipe(FlowRecipe, SlatRecipe):
    """Of a rectified flow of structured latents."""


@dataclass(frozen=True)
class DecoderRecipe(SlatRecipe):
    """Of a decoder of structured latents, trained on pictures.

    views: pictures of each sample. view_px: their edge if they are stored larger; None: as they are stored.
    image: weights of the loss between pictures. perceptual: its perceptual distance if no weights of LPIPS are given;
    None for none.
    """

    views: int = 4
    view_px: int | None = 512
    image: ImageWeights = field(default_factory=ImageWeights)
    perceptual: str | None = "efficientnet_lite0_distance"


@dataclass(frozen=True)
class GaussianRecipe(DecoderRecipe):
    """Of the Gaussian decoder, alone or with the SLAT encoder; the last three are for the encoder.

    gaussians: weights of the regularisers. kl_weight: of the KL divergence per latent value.
    initial_log_variance: as in StructureVaeRecipe.
    statistics_samples: number of samples that the statistics of latents are measured over.
    """

    gaussians: GaussianWeights = field(default_factory=GaussianWeights)
    kl_weight: float = 0.0
    initial_log_variance: float = -6.0
    statistics_samples: int = 512


@dataclass(frozen=True)
class MeshRecipe(DecoderRecipe):
    """Of the mesh decoder. mesh: weights of its losses."""

    mesh: MeshWeights = field(default_factory=MeshWeights)


def structure_vae() -> StructureVaeRecipe:
    """The structure VAE, trained from scratch; neither source of 3D-Fixer trains it."""
    return _taking(StructureVaeRecipe, Published("TRELLIS configs", 1_000_000, 1e-4))


def structure_base() -> FlowRecipe:
    """A: TRELLIS's structure flow, on rotated assets."""
    return _taking(FlowRecipe, Published("supplement", 150_000, 1e-5), Published("3D-Fixer configs", 1_000_000, 1e-5))


def object_pretraining() -> FlowRecipe:
    """E: pre-training of the control branch on lone objects, before scenes. Without alignment loss."""
    return _taking(FlowRecipe, Published("supplement", 100_000, 5e-5), Published("3D-Fixer configs", 100_000, 1e-5))


def coarse() -> FlowRecipe:
    """F: Coarse Structure Completer."""
    stated = Published("supplement", 80_000, 5e-5), Published("3D-Fixer configs", 150_000, 1e-5)
    return replace(_taking(FlowRecipe, *stated), alignment_weight=0.1)


def fine() -> FlowRecipe:
    """G: Fine Shape Refiner."""
    return replace(coarse(), alignment_weight=0.5)


def slat_vae() -> GaussianRecipe:
    """SLAT encoder and Gaussian decoder, trained from scratch; neither source of 3D-Fixer trains the encoder."""
    return replace(_taking(GaussianRecipe, Published("TRELLIS configs", 1_000_000, 1e-4)), kl_weight=1e-6)


def slat_base() -> SlatFlowRecipe:
    """B: TRELLIS's SLAT flow, on rotated assets."""
    stated = Published("supplement", 450_000, 1e-5), Published("3D-Fixer configs", 1_000_000, 1e-5)
    return _taking(SlatFlowRecipe, *stated)


def gaussian_decoder() -> GaussianRecipe:
    """C: the Gaussian decoder on rotated assets, after the frozen encoder. Without KL divergence, as released."""
    return _taking(
        GaussianRecipe, Published("supplement", 80_000, 1e-5), Published("3D-Fixer configs", 1_000_000, 1e-5)
    )


def mesh_decoder() -> MeshRecipe:
    """D: the mesh decoder, on rotated assets."""
    return _taking(MeshRecipe, Published("supplement", 80_000, 1e-5), Published("3D-Fixer configs", 1_000_000, 1e-5))


def texturer() -> SlatFlowRecipe:
    """H: Occlusion-Aware 3D Texturer."""
    stated = Published("supplement", 90_000, 5e-5), Published("3D-Fixer configs", 450_000, 1e-5)
    return replace(_taking(SlatFlowRecipe, *stated), alignment_weight=0.5)


RECIPES: dict[str, Callable[[], Recipe]] = {
    "structure_vae": structure_vae,
    "slat_vae": slat_vae,
    "structure_base": structure_base,
    "slat_base": slat_base,
    "gaussian_decoder": gaussian_decoder,
    "mesh_decoder": mesh_decoder,
    "object": object_pretraining,
    "coarse": coarse,
    "fine": fine,
    "texturer": texturer,
}

# Steps, batch size and learning rate of smaller systems, found by trying (pipelines/train/stages/README.md).
_SCALED: dict[SizeName, dict[str, tuple[int, int, float]]] = {
    "tiny": {
        "structure_vae": (800, 4, 1e-3),
        "structure_base": (300, 4, 1e-3),
        "object": (150, 4, 2e-3),
        "coarse": (600, 4, 2e-3),
        "fine": (600, 4, 2e-3),
        "slat_vae": (400, 2, 1e-3),
        "slat_base": (400, 2, 1e-3),
        "gaussian_decoder": (100, 2, 5e-4),
        "mesh_decoder": (60, 1, 2e-3),
        "texturer": (300, 2, 1e-3),
    },
    "compact": {
        "structure_vae": (1500, 8, 1e-3),
        "structure_base": (500, 8, 1e-3),
        "object": (433, 8, 1e-3),
        "coarse": (3570, 8, 1e-3),
        "fine": (3637, 8, 1e-3),
        "slat_vae": (400, 2, 1e-3),
        "slat_base": (92, 4, 1e-3),
        "gaussian_decoder": (110, 2, 5e-4),
        "mesh_decoder": (361, 2, 1e-3),
        "texturer": (130, 4, 1e-3),
    },
    "dense": {
        "structure_vae": (3000, 16, 1e-3),
        "structure_base": (10_000, 32, 1e-3),
        "object": (10_000, 32, 1e-3),
        "coarse": (20_000, 32, 1e-3),
        "fine": (20_000, 32, 1e-3),
        "slat_vae": (4000, 8, 1e-3),
        "slat_base": (10_000, 16, 1e-3),
        "gaussian_decoder": (1000, 8, 5e-4),
        "mesh_decoder": (2000, 4, 1e-3),
        "texturer": (10_000, 16, 1e-3),
    },
    "small": {
        "structure_vae": (20_000, 16, 3e-4),
        "structure_base": (40_000, 64, 2e-4),
        "object": (20_000, 64, 2e-4),
        "coarse": (40_000, 64, 2e-4),
        "fine": (40_000, 64, 2e-4),
        "slat_vae": (40_000, 16, 3e-4),
        "slat_base": (40_000, 32, 2e-4),
        "gaussian_decoder": (10_000, 16, 1e-4),
        "mesh_decoder": (20_000, 8, 2e-4),
        "texturer": (40_000, 32, 2e-4),
    },
}


# Other fields that all recipes of a smaller system override if they have them: a step costs less.
_COMPACT: dict[str, Any] = {
    "crop": 32,
    "max_voxels": 8000,
    "views": 2,
    "view_px": 96,
    "statistics_samples": 64,
    "quick_start": True,
    "alignment_weight": 0.0,
    "sampler": SamplerConfig(steps=1, guidance=0.0),
}
_SMALLER: dict[SizeName, dict[str, Any]] = {
    "tiny": {
        "crop": 32,
        "max_voxels": 6000,
        "views": 2,
        "view_px": 64,
        "statistics_samples": 64,
        "quick_start": True,
    },
    "compact": _COMPACT,
    "dense": _COMPACT,
    "small": {"crop": 32, "max_voxels": 16_384, "view_px": 256},
}

# Images are completed in a world whose z axis points up, so short runs need not learn objects that lie on their sides.
_UPRIGHT = Augmentation(axis="vertical", resize_probability=0.0)
# Where the answer is uncertain, samples of a small network are noisy, and its mean answer is better. So it is sampled
# in one step from noise, and trained mostly at times near noise. Guidance restores what the mean leaves out. Short
# training does not teach the texturer to denoise, so its sampling starts from zeros, not noise (stages/README.md).
_NEARLY_NOISE = FlowPath(t_mean=2.5)
_IN_ONE_STEP = SamplerConfig(steps=1, guidance=3.0)
_WITHOUT_NOISE = SamplerConfig(steps=1, guidance=0.0, noise_scale=0.0)
_AS_IN_SCENES = replace(_UPRIGHT, hidden=(0.0, 0.7), seen_as="in_scenes")
# The fine cube bounds the coarse voxels; a few wrong voxels far out make the object small in it.
_OF_COARSE_VOXELS = replace(_UPRIGHT, scale=(0.8, 1.05))

# Fields that single stages of a smaller system override. A strong KL divergence costs sharpness that short training
# cannot use, and halves the variance of the latents, so a flow has less to learn. Rotated objects need longer training.
_OWN_OF_COMPACT: dict[str, dict[str, Any]] = {
    name: {"augmentation": _UPRIGHT, "warmup_steps": warmup, **own}
    for name, warmup, own in (
        ("structure_vae", 75, {"cross_entropy_weight": 1.0, "kl_weight": 0.1}),
        ("structure_base", 50, {}),
        ("object", 70, {"augmentation": _AS_IN_SCENES}),
        ("coarse", 70, {"path": _NEARLY_NOISE, "sampler": _IN_ONE_STEP}),
        ("fine", 50, {"augmentation": _OF_COARSE_VOXELS, "path": _NEARLY_NOISE, "sampler": _IN_ONE_STEP}),
        ("slat_vae", 25, {"max_voxels": 5000}),
        ("slat_base", 15, {}),
        ("gaussian_decoder", 5, {}),
        ("mesh_decoder", 20, {"max_voxels": 5000}),
        ("texturer", 25, {"path": _NEARLY_NOISE, "sampler": _WITHOUT_NOISE}),
    )
}
_OWN: dict[SizeName, dict[str, dict[str, Any]]] = {
    "tiny": {
        "structure_vae": {"cross_entropy_weight": 1.0, "kl_weight": 0.15},
        "mesh_decoder": {"max_voxels": 4000},  # nearly all of a step's time is proportional to the voxels
        **{name: {"augmentation": NO_AUGMENTATION} for name in ("structure_base", "object", "coarse", "fine")},
    },
    "compact": _OWN_OF_COMPACT,
    "dense": _OWN_OF_COMPACT,
}


def recipe(stage: str, size: SizeName) -> Recipe:
    """The recipe of a stage: the published one for size official, scaled for smaller sizes.

    Raises UsageError for an unknown stage.
    """
    if stage not in RECIPES:
        raise UsageError(f"unknown stage {stage!r}; choose one of {', '.join(RECIPES)}")
    published = RECIPES[stage]()
    if size == "official":
        return published
    steps, batch_size, learning_rate = _SCALED[size][stage]
    smaller: dict[str, Any] = {name: value for name, value in _SMALLER[size].items() if hasattr(published, name)}
    return replace(
        published,
        **{"warmup_steps": min(100, steps // 20), **smaller, **_OWN.get(size, {}).get(stage, {})},
        steps=steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        takes=f"ours, for size {size}",
    )


RecipeT = TypeVar("RecipeT", bound=Recipe)


def _taking(kind: type[RecipeT], taken: Published, *others: Published) -> RecipeT:
    """A recipe that uses the numbers of `taken`, and also states those of the other sources."""
    return kind(
        steps=taken.steps,
        batch_size=GRADIENT_BATCH,
        learning_rate=taken.learning_rate,
        micro_batch_tokens=8 * STRUCTURE_TOKENS,
        takes=taken.source,
        stated=(taken, *others),
    )
