"""MoGe-2 with our own network: metric depth, a validity mask and the focal length, from the authors' checkpoint.

Shapes: B batch, H W image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.checkpoints import CheckpointError, Runtime, read_network
from models.depth_estimators.images import InFloat32, device_of, in_batches, precision, stacked
from models.depth_estimators.protocol import DepthMap
from models.moge import Moge
from models.point_map_camera import metric_geometry


@dataclass(frozen=True)
class Moge2:
    """See DepthEstimator. num_tokens: image tokens, None for the most it was trained with."""

    network: Moge
    half: bool = False
    batch_size: int = 8
    num_tokens: int | None = None

    @classmethod
    def load(cls, weights: Path, device: str = "cpu", half: bool = False, batch_size: int = 8) -> Moge2:
        """From the authors' model.pt, which holds `model_config` and the weights in `model`.

        Raises CheckpointError for a file that is not such a checkpoint, or does not fill the network.
        """
        # Its training left keys that inference has no use for; a missing one is an error all the same.
        network = read_network(weights, Runtime(device=device), ignore_unexpected=True)
        if not isinstance(network, Moge) or network.scale_head is None or network.config.points_head is None:
            raise CheckpointError(f"{weights} holds no MoGe with points and metric scale (version 2)")
        last: Any = network.points_head.output_blocks
        last[-1] = InFloat32(last[-1])
        return cls(network, half, batch_size)

    def __call__(self, rgbs: Sequence[np.ndarray], focal_px: float | None = None) -> list[DepthMap]:
        return in_batches(rgbs, self.batch_size, partial(self._run, focal_px))

    @torch.inference_mode()
    def _run(self, focal_px: float | None, rgbs: Sequence[np.ndarray]) -> list[DepthMap]:
        images_B3HW = stacked(rgbs, device_of(self.network))
        height, width = images_B3HW.shape[-2:]
        grid = token_grid(self.num_tokens or self.network.config.num_tokens_range[1], width / height)
        with precision(self.network, self.half):
            output = self.network(images_B3HW, grid=grid)
        geometry = metric_geometry(output, None if focal_px is None else 2 * math.atan(width / 2 / focal_px))
        depth_BHW = geometry.depth_BHW.float()
        depth_BHW = torch.where(torch.isfinite(depth_BHW) & (depth_BHW > 0), depth_BHW, torch.nan)
        focal_B = geometry.K_norm_B33[:, 0, 0] * width
        return [
            DepthMap(one, focal_px=float(focal))
            for one, focal in zip(depth_BHW.cpu().numpy(), focal_B.cpu().numpy(), strict=True)
        ]


def token_grid(num_tokens: int, aspect: float) -> tuple[int, int]:
    """Rows and columns of about so many tokens for an image of this width / height, as MoGe's own package has them.

    Rounded to the nearest. The copy of MoGe inside 3D-Fixer is older and rounds down, which is the same for the square
    images that it is given there.
    """
    return round(math.sqrt(num_tokens / aspect)), round(math.sqrt(num_tokens * aspect))
