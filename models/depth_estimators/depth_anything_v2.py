"""Depth Anything V2 (relative) through `transformers`. It predicts inverse depth up to scale and shift.

Pre-processing as the library's DPT image processor does it with Pillow, so that torchvision is not needed.

Shapes: B batch, H W image, h w the network's input.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from models.checkpoints import CheckpointError
from models.depth_estimators.images import InFloat32, device_of, in_batches, precision, resized
from models.depth_estimators.loading import from_transformers
from models.depth_estimators.protocol import DepthMap

_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True)
class Preparation:
    """How an image becomes the network's input; from preprocessor_config.json.

    side_px: the shorter side is resized to about this; multiple: both sides are multiples of it. resample: Pillow's.
    """

    side_px: tuple[int, int] = (518, 518)
    multiple: int = 14
    keep_aspect: bool = True
    resample: Image.Resampling = Image.Resampling.BICUBIC
    mean: tuple[float, ...] = _IMAGENET_MEAN
    std: tuple[float, ...] = _IMAGENET_STD

    @classmethod
    def read(cls, folder: Path) -> Preparation:
        """From the checkpoint's folder. Raises CheckpointError when the file is missing or says something else."""
        path = folder / "preprocessor_config.json"
        try:
            raw = json.loads(path.read_text())
            return cls(
                (raw["size"]["height"], raw["size"]["width"]),
                raw["ensure_multiple_of"],
                raw["keep_aspect_ratio"],
                Image.Resampling(raw["resample"]),
                tuple(raw["image_mean"]),
                tuple(raw["image_std"]),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"{path} does not say how to prepare images ({error}); fetch the checkpoint again"
            ) from None

    def size_for(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of the network's input."""
        scale_y, scale_x = self.side_px[0] / height, self.side_px[1] / width
        if self.keep_aspect:
            # The scale that changes the image least: the longer side may grow beyond side_px.
            scale_y = scale_x = scale_x if abs(1 - scale_x) < abs(1 - scale_y) else scale_y
        return self._rounded(scale_y * height), self._rounded(scale_x * width)

    def _rounded(self, side: float) -> int:
        return round(side / self.multiple) * self.multiple

    def __call__(self, rgb: np.ndarray) -> Tensor:
        """(H, W, 3) uint8 to (3, h, w) float32, normalised."""
        height, width = self.size_for(*rgb.shape[:2])
        small = np.asarray(Image.fromarray(rgb).resize((width, height), self.resample), np.float32) / 255
        normal = (small - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        return torch.from_numpy(normal.transpose(2, 0, 1).copy())


@dataclass(frozen=True)
class DepthAnythingV2:
    """See DepthEstimator. Its maps are inverse depth up to scale and shift; it knows of no camera."""

    network: nn.Module
    prepare: Preparation
    half: bool = False
    batch_size: int = 16

    @classmethod
    def load(cls, weights: Path, device: str = "cpu", half: bool = False, batch_size: int = 16) -> DepthAnythingV2:
        """From the folder of a weights file in the library's format (config.json, preprocessor_config.json).

        Raises CheckpointError for a metric variant, and for weights that do not fit.
        """
        from transformers.models.depth_anything import DepthAnythingForDepthEstimation

        network = from_transformers("depth_anything_v2", DepthAnythingForDepthEstimation, weights)
        if network.config.depth_estimation_type != "relative":
            raise CheckpointError(
                f"{weights.parent} holds a metric Depth Anything, which predicts depth; depth_anything_v2 is the "
                "relative one, which predicts inverse depth. Give the relative checkpoint"
            )
        network.head = InFloat32(network.head)
        return cls(network.to(device), Preparation.read(weights.parent), half, batch_size)

    def __call__(self, rgbs: Sequence[np.ndarray], focal_px: float | None = None) -> list[DepthMap]:
        return in_batches(rgbs, self.batch_size, self._run)

    @torch.inference_mode()
    def _run(self, rgbs: Sequence[np.ndarray]) -> list[DepthMap]:
        pixels_B3hw = torch.stack([self.prepare(rgb) for rgb in rgbs]).to(device_of(self.network))
        with precision(self.network, self.half):
            predicted_Bhw = self.network(pixel_values=pixels_B3hw).predicted_depth
        height, width = rgbs[0].shape[:2]
        inverse_BHW = resized(predicted_Bhw, (height, width), "bicubic")
        # The cubic overshoots at edges; the network's own output is never negative.
        return [DepthMap(one) for one in inverse_BHW.clamp(min=0).cpu().numpy()]
