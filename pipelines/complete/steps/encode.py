"""Encode: the image once, and four images of each instance → tokens.

Shapes: B instances, S image edge, T tokens, D their width.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pipelines.complete.steps.observe import Observation
from pipelines.complete.view import Frame, SceneView
from pipelines.conditioning import encoder_images
from pipelines.encoders.protocol import ImageEncoders, SceneFeatures
from pipelines.images import scene_image


def scene_picture(view: SceneView, frame: Frame, image_px: int) -> Tensor:
    """[3, S, S] in [0, 1]: the whole image in the frame that the encoders see."""
    framed = frame.apply(view.rgb_HW3, 0)
    return scene_image(framed, np.zeros(framed.shape[:2], bool), image_px)[:3]


def encode_scene(encoders: ImageEncoders, picture_3SS: Tensor, device: torch.device) -> SceneFeatures:
    """The features of the whole image, for all instances. They stay on the device."""
    return encoders.scene_features(picture_3SS[None].to(device))


def encode_instances(
    encoders: ImageEncoders, seen: Sequence[Observation], picture_3SS: Tensor, device: torch.device
) -> list[Tensor]:
    """[4, T, D] float32 on the CPU for each instance, in the order of `conditioning.encoder_images`."""
    crops_B4SS = torch.stack([one.crop_4SS for one in seen])
    scenes_B4SS = torch.stack([torch.cat([picture_3SS, one.scene_mask_SS[None]]) for one in seen])
    tokens = encoders.image_tokens(encoder_images(crops_B4SS, scenes_B4SS).to(device))
    return list(tokens.unflatten(0, (4, len(seen))).transpose(0, 1).float().cpu())


def stacked(tokens_4TD: Sequence[Tensor], device: torch.device) -> Tensor:
    """[4 B, T, D]: the tokens of a batch in the order of `conditioning.encoder_images`."""
    return torch.stack(list(tokens_4TD), dim=1).flatten(0, 1).to(device)
