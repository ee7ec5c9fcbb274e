"""Depth Anything V2 (relative) through `transformers`. It predicts inverse depth up to scale and shift.

Pre-processing as the library's DPT image processor does it with Pillow, so that torchvision is not needed.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from scenegen.annotate.protocol import Prediction, Request, SingleView
from scenegen.annotate.torch_setup import batches, pick_device, reduced_precision, refuse_partial, resized
from scenegen.annotate.weights import Weights
from scenegen.errors import SceneGenError, UsageError

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
    def read(cls, folder: Path) -> "Preparation":
        """From the checkpoint's folder. Raises SceneGenError when the file is missing or says something else."""
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
            raise SceneGenError(
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


class DepthAnythingV2(SingleView):
    """A loaded network; see DepthEstimator."""

    def __init__(self, network: nn.Module, prepare: Preparation, device: torch.device, batch_size: int) -> None:
        self._network, self._prepare = network.to(device).eval(), prepare
        self._device, self._batch_size = device, batch_size

    @classmethod
    def load(cls, weights: Weights, device: str = "auto", batch_size: int = 16) -> "DepthAnythingV2":
        """From a folder in the library's format (config.json, preprocessor_config.json, model.safetensors).

        Raises UsageError for a metric variant, SceneGenError for weights that do not fit.
        """
        from transformers.models.depth_anything import DepthAnythingForDepthEstimation

        network, info = DepthAnythingForDepthEstimation.from_pretrained(
            weights.folder, local_files_only=True, output_loading_info=True
        )
        refuse_partial("depth_anything_v2", sorted(info["missing_keys"]), sorted(info["mismatched_keys"]))
        if network.config.depth_estimation_type != "relative":
            raise UsageError(
                f"{weights.weights_id} is a metric Depth Anything, which predicts depth; depth_anything_v2 is the "
                "relative one, which predicts inverse depth. Give the relative checkpoint"
            )
        return cls(network, Preparation.read(weights.folder), pick_device(device), batch_size)

    def predict(self, requests: Sequence[Request]) -> list[Prediction]:
        predictions: dict[int, Prediction] = {}
        for group in batches(requests, self._batch_size):
            rgbs = [requests[position].rgb for position in group]
            inverse_BHW = self._run(rgbs)
            predictions.update(zip(group, (Prediction(one) for one in inverse_BHW), strict=True))
        return [predictions[position] for position in range(len(requests))]

    @torch.inference_mode()
    def _run(self, rgbs: Sequence[np.ndarray]) -> np.ndarray:
        pixels = torch.stack([self._prepare(rgb) for rgb in rgbs]).to(self._device)
        with reduced_precision(self._device):
            predicted = self._network(pixel_values=pixels).predicted_depth
        inverse = resized(predicted, rgbs[0].shape[:2], "bicubic")
        return inverse.clamp(min=0).cpu().numpy()  # the cubic overshoots at edges; the network's own output is >= 0
