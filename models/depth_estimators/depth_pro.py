"""Depth Pro through `transformers`: metric depth and an estimated focal length.

The library's own image processor needs torchvision; its pre- and post-processing are redone here and checked against
recorded outputs of it.

Shapes: B batch, H W image, h w the network's input.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.checkpoints import CheckpointError
from models.depth_estimators.images import InFloat32, device_of, in_batches, precision, resized, stacked
from models.depth_estimators.loading import from_transformers
from models.depth_estimators.protocol import DepthMap

_INVERSE_LIMITS = (1e-4, 1e4)  # 1 / metre: what the authors clamp to


@dataclass(frozen=True)
class DepthPro:
    """See DepthEstimator. side_px: (height, width) of the network's input."""

    network: nn.Module
    side_px: tuple[int, int]
    half: bool = False
    batch_size: int = 4

    @classmethod
    def load(cls, weights: Path, device: str = "cpu", half: bool = False, batch_size: int = 4) -> DepthPro:
        """From the folder of a weights file in the library's format (config.json, preprocessor_config.json).

        Raises CheckpointError for weights that do not fit, or a network without its focal-length head.
        """
        from transformers.models.depth_pro import DepthProForDepthEstimation

        folder = weights.parent
        network = from_transformers("depth_pro", DepthProForDepthEstimation, weights)
        if not network.use_fov_model:
            raise CheckpointError(
                f"{folder} has no focal-length head, without which its depth is not metric; "
                "use the checkpoint apple/DepthPro-hf"
            )
        try:
            size = json.loads((folder / "preprocessor_config.json").read_text())["size"]
            side_px = (size["height"], size["width"])
        except (OSError, ValueError, KeyError) as error:
            raise CheckpointError(f"{folder}/preprocessor_config.json does not say the input size: {error}") from None
        network.head, network.fov_model.head = InFloat32(network.head), InFloat32(network.fov_model.head)
        return cls(network.to(device), side_px, half, batch_size)

    def __call__(self, rgbs: Sequence[np.ndarray], focal_px: float | None = None) -> list[DepthMap]:
        return in_batches(rgbs, self.batch_size, partial(self._run, focal_px))

    @torch.inference_mode()
    def _run(self, focal_px: float | None, rgbs: Sequence[np.ndarray]) -> list[DepthMap]:
        images_B3HW = stacked(rgbs, device_of(self.network))
        with precision(self.network, self.half):
            output = self.network(pixel_values=prepare(images_B3HW, self.side_px))
        height, width = images_B3HW.shape[-2:]
        depth_BHW, focal_B = finish(
            output.predicted_depth.float(), output.field_of_view.float(), (height, width), focal_px
        )
        return [
            DepthMap(one, focal_px=float(focal) if np.isfinite(focal) else None)
            for one, focal in zip(depth_BHW.cpu().numpy(), focal_B.cpu().numpy(), strict=True)
        ]


def prepare(images_B3HW: Tensor, side_px: tuple[int, int]) -> Tensor:
    """[0, 1] to [-1, 1], then bilinear to the network's size without antialiasing, as the authors do."""
    return functional.interpolate((images_B3HW - 0.5) / 0.5, size=side_px, mode="bilinear", align_corners=False)


def finish(
    inverse_Bhw: Tensor, fov_deg_B: Tensor, size: tuple[int, int], focal_px: float | None = None
) -> tuple[Tensor, Tensor]:
    """Canonical inverse depth and horizontal field of view to (metric depth (B, H, W), focal length (B,) in pixels).

    The network's inverse depth is that of a camera whose focal length is the image's width. focal_px: the true focal
    length where it is known, which then counts instead of the field of view that the network found.
    """
    width = size[1]
    focal_B = 0.5 * width / torch.tan(fov_deg_B * (math.pi / 360))
    plausible_B = (fov_deg_B > 1) & (fov_deg_B < 179)  # otherwise focal length and scale have no meaning
    if focal_px is not None:
        focal_B, plausible_B = torch.full_like(focal_B, focal_px), torch.ones_like(plausible_B)
    inverse_BHW = resized(inverse_Bhw * (width / focal_B)[:, None, None], size, "bilinear")
    depth_BHW = torch.where(plausible_B[:, None, None], 1 / inverse_BHW.clamp(*_INVERSE_LIMITS), torch.nan)
    return depth_BHW, torch.where(plausible_B, focal_B, torch.nan)
