"""From image encoders' outputs to the conditions of the completer and the texturer.

Shapes: B batch, S image edge, T = 1 + registers + h w tokens of DINOv2, D its width, P = h w depth-estimator tokens.
Source: 3D-Fixer supplement section 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from models.completer import CompleterCondition
from models.layers.norms import layer_norm_32
from models.texturer import TexturerCondition
from pipelines.encoders.protocol import ImageEncoders, SceneFeatures

TILE = 16  # the depth estimator's last map has this many times the resolution of its tokens


@dataclass(frozen=True)
class ImageFeatures:
    """What the encoders make of some objects, each in its scene.

    tokens_4BTD: of `encoder_images`. scene: of the unmasked scene images, one an object. clean_BTD: of unoccluded
    renders, None without them.
    """

    tokens_4BTD: Tensor
    scene: SceneFeatures
    clean_BTD: Tensor | None = None


def encode_images(
    encoders: ImageEncoders,
    instance_B4SS: Tensor,
    scene_B4SS: Tensor,
    scenes_U3SS: Tensor,
    scene_B: Tensor,
    clean_B3SS: Tensor | None = None,
) -> ImageFeatures:
    """All that is encoded for the conditions of these objects; a scene image once for all its objects.

    scenes_U3SS: the distinct scene images. scene_B: which of them each object is seen in.
    """
    images = encoder_images(instance_B4SS, scene_B4SS)
    parts = [images] if clean_B3SS is None else [images, clean_B3SS]
    tokens, *clean = encoders.image_tokens(torch.cat(parts)).split([len(part) for part in parts])
    scenes = encoders.scene_features(scenes_U3SS)
    of_objects = SceneFeatures(scenes.tokens_BDhw[scene_B], scenes.detail_BFHW[scene_B])
    return ImageFeatures(tokens, of_objects, clean[0] if clean else None)


def encoder_images(instance_B4SS: Tensor, scene_B4SS: Tensor) -> Tensor:
    """[4 B, 3, S, S] in [0, 1] for one call of the image encoder: masked crop, crop, its mask, the scene's mask.

    B of each, in this order.
    """
    rgb, mask = instance_B4SS[:, :3], instance_B4SS[:, 3:]
    images = [rgb * mask, rgb, mask.expand_as(rgb), scene_B4SS[:, 3:].expand_as(rgb)]
    return torch.cat(images)


def structure_condition(
    dino_4BTD: Tensor,
    depth_tokens_BDhw: Tensor,
    partial_latent_BCRRR: Tensor,
    partial_mask_B64RRR: Tensor,
    clean_dino_BTD: Tensor | None = None,
) -> CompleterCondition:
    """The completer's condition.

    dino_4BTD: tokens of `encoder_images`, before the image encoder's final norm.
    depth_tokens_BDhw: level 0 of the depth estimator's neck for the unmasked scene image.
    """
    masked, crop, crop_mask, scene_mask = layer_norm_32(dino_4BTD).chunk(4)
    scene = layer_norm_32(depth_tokens_BDhw.flatten(2).transpose(1, 2))
    return CompleterCondition(
        scene_BMC=torch.cat([scene, scene_mask], dim=1),
        instance_BMC=torch.cat([crop, crop_mask], dim=1),
        instance_masked_BMC=masked,
        partial_latent_BCRRR=partial_latent_BCRRR,
        partial_mask_B64RRR=partial_mask_B64RRR,
        clean_instance_BMC=None if clean_dino_BTD is None else layer_norm_32(clean_dino_BTD),
    )


def texture_condition(
    dino_4BTD: Tensor,
    depth_map_BFHW: Tensor,
    voxel_feats_NF: Tensor,
    clean_dino_BTD: Tensor | None = None,
    tile: int = TILE,
) -> TexturerCondition:
    """The texturer's condition: averages instead of concatenations.

    depth_map_BFHW: the last level of the depth estimator's neck for the unmasked scene image. tile: its pixels along
        the edge of a token.
    """
    masked, crop, crop_mask, scene_mask = layer_norm_32(dino_4BTD).chunk(4)
    scene = fold_to_tokens(depth_map_BFHW, dino_4BTD.shape[-1], tile)
    others = scene_mask.shape[1] - scene.shape[1]  # class and register tokens come from the mask alone
    scene_tokens = torch.cat([scene_mask[:, :others], (scene_mask[:, others:] + scene) / 2], dim=1)
    return TexturerCondition(
        scene_BTC=scene_tokens,
        instance_BTC=(crop + crop_mask) / 2,
        instance_masked_BTC=masked,
        voxel_feats_NF=voxel_feats_NF,
        clean_instance_BTC=None if clean_dino_BTD is None else layer_norm_32(clean_dino_BTD),
    )


def fold_to_tokens(map_BFHW: Tensor, width: int, tile: int = TILE) -> Tensor:
    """[B, P, width]: each tile of the map as one vector (row, column, channel), averaged down to `width`, normed."""
    B, channels, H, W = map_BFHW.shape
    tiles = map_BFHW.reshape(B, channels, H // tile, tile, W // tile, tile).permute(0, 2, 4, 3, 5, 1)
    return layer_norm_32(F.adaptive_avg_pool1d(tiles.reshape(B, -1, tile * tile * channels), width))
