"""The encoders of the paper: DINOv2 ViT-L/14 with registers for tokens, MoGe-2 ViT-L for the scene.

Shapes: B images, S edge (518), T = 1 + 4 + 37^2 tokens of width D = 1024, h = w = 37 tokens of the scene.
Source: 3D-Fixer supplement section 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from models.checkpoints import CheckpointError, Description, read_network
from models.dinov2 import DinoVisionTransformer, normalise_image
from models.moge import LEVELS, Moge
from models.weights import freeze
from pipelines.encoders.protocol import EncoderSizes, SceneFeatures

NAME = "official"
IMAGE_PX = 518
DINOV2, MOGE2 = "dinov2", "moge2"
DINOV2_HUB = "dinov2_vitl14_reg"

_WHERE = {
    DINOV2: "https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/dinov2_vitl14_reg4_pretrain.pth (Apache-2.0)",
    MOGE2: "https://huggingface.co/Ruicheng/moge-2-vitl/resolve/main/model.pt (MIT)",
}


class MissingEncoderWeights(CheckpointError):
    """missing: names of the networks without a file. `advise` says what to do with the option of a command for them."""

    def __init__(self, missing: Sequence[str]) -> None:
        self.missing = tuple(missing)
        super().__init__(self.advise("--encoder-weights"))

    def advise(self, option: str) -> str:
        """What is missing, where it is to be had, and the option that takes it."""
        listed = "\n".join(f"  {name}: {_WHERE[name]}" for name in self.missing)
        flags = " ".join(f"{name}=FILE" for name in self.missing)
        return (
            f"the official image encoders need weights that were not given:\n{listed}\n"
            f"Download them and give {option} {flags}"
        )


class OfficialEncoders:
    """Implements `ImageEncoders` with DINOv2 and MoGe-2, whatever their size.

    image_px: edge of the images, a multiple of the patch size of both.
    """

    name = NAME

    def __init__(self, dino: DinoVisionTransformer, moge: Moge, image_px: int = IMAGE_PX) -> None:
        self._dino, self._moge = freeze(dino), freeze(moge)
        patch, config = dino.config.patch_size, moge.config
        self._scene_grid = image_px // config.backbone.patch_size
        scene_width, detail_channels = _neck_channels(moge)
        if scene_width != dino.config.embed_dim:
            raise ValueError(
                f"scene tokens of {scene_width} channels and image tokens of {dino.config.embed_dim} do not fit the "
                "same cross-attention; choose a DINOv2 and a MoGe-2 of equal width"
            )
        self.sizes = EncoderSizes(
            image_px=image_px,
            tokens=1 + dino.config.num_register_tokens + (image_px // patch) ** 2,
            width=dino.config.embed_dim,
            scene_grid=self._scene_grid,
            detail_channels=detail_channels,
            voxel_channels=dino.config.embed_dim,
        )

    @classmethod
    def load(cls, weights: Mapping[str, str | Path]) -> OfficialEncoders:
        """From the authors' files: weights["dinov2"] and weights["moge2"] are paths. Nothing is downloaded.

        Raises MissingEncoderWeights, CheckpointError for files that hold something else.
        """
        missing = [name for name in _WHERE if name not in weights]
        if missing:
            raise MissingEncoderWeights(missing)
        description = Description("DinoVisionTransformer", {"hub": DINOV2_HUB})
        dino = read_network(weights[DINOV2], description=description)
        # Its training left keys that inference has no use for; a missing one is an error all the same.
        moge = read_network(weights[MOGE2], ignore_unexpected=True)
        if not isinstance(moge, Moge):
            raise CheckpointError(f"{weights[MOGE2]} holds a {type(moge).__name__}, not a MoGe-2")
        return cls(cast(DinoVisionTransformer, dino), moge)

    def networks(self) -> tuple[nn.Module, ...]:
        return self._dino, self._moge

    @torch.no_grad()
    def image_tokens(self, images_B3SS: Tensor) -> Tensor:
        """[B, T, D]: class, registers, patches."""
        return self._dino(normalise_image(images_B3SS)).before_norm_BTC

    @torch.no_grad()
    def scene_features(self, images_B3SS: Tensor) -> SceneFeatures:
        """Coarsest and finest map of the neck; the finest has 16 times the resolution of the tokens."""
        levels, _ = self._moge.features(images_B3SS, num_tokens=self._scene_grid**2)
        return SceneFeatures(levels[0].float(), levels[LEVELS - 1].float())


def _neck_channels(moge: Moge) -> tuple[int, int]:
    """Of the coarsest and the finest map."""
    neck = moge.config.neck
    return neck.dim_out[0] or neck.dim_res_blocks[0], neck.dim_out[-1] or neck.dim_res_blocks[-1]
