"""Networks for image features, all with one signature: [B, 3, H, W] in [0, 1] to [B, D].

Shapes: B images, D features.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from models.efficientnet import EfficientNetLite0
from pipelines.errors import PipelineError
from pipelines.evaluate.files.checked import need
from pipelines.evaluate.rendering.inception import InceptionV3

Features = Callable[[Tensor], Tensor]

_EFFICIENTNET_PX = 224
_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def efficientnet_features(device: str) -> Features:
    """The spatial mean of EfficientNet-Lite0's last feature map (D = 320); its weights come with a package."""
    network = EfficientNetLite0.from_package().eval().to(device)

    @torch.no_grad()
    def features(images_B3HW: Tensor) -> Tensor:
        return network.maps(_resized(images_B3HW.to(device), _EFFICIENTNET_PX))[-1].mean(dim=(2, 3)).cpu()

    return features


def inception_features(weights: Path, device: str) -> Features:
    """The Inception features of the usual FID (D = 2048). Raises PipelineError for other weights."""
    network = InceptionV3.from_file(weights).to(device)

    @torch.no_grad()
    def features(images_B3HW: Tensor) -> Tensor:
        return network(images_B3HW.to(device)).cpu()

    return features


def clip_features(folder: Path, device: str) -> Features:
    """CLIP image embeddings of unit length. folder: a CLIP model in transformers' layout. Raises PipelineError."""
    from transformers import CLIPVisionModelWithProjection

    need(folder / "config.json", "the CLIP model")
    try:
        network = CLIPVisionModelWithProjection.from_pretrained(folder, local_files_only=True).eval().to(device)
    except (OSError, ValueError) as error:
        raise PipelineError(f"{folder} holds no CLIP model in transformers' layout: {error}") from error
    mean, std = (torch.tensor(values, device=device).view(3, 1, 1) for values in (_CLIP_MEAN, _CLIP_STD))

    @torch.no_grad()
    def features(images_B3HW: Tensor) -> Tensor:
        images = (_resized(images_B3HW.to(device), network.config.image_size) - mean) / std
        return F.normalize(network(pixel_values=images).image_embeds, dim=-1).cpu()

    return features


def _resized(images_B3HW: Tensor, size: int) -> Tensor:
    return F.interpolate(images_B3HW, (size, size), mode="bicubic", align_corners=False, antialias=True).clamp(0, 1)
