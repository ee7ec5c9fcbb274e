"""VGGT through its authors' package `vggt`: depth and confidence from one view, or together with others of the scene.

No release of it is on PyPI; the user installs it from its repository. Its depth is right up to one scale.

Shapes: B groups, S pictures of one, H W image, h w the network's input.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from models.checkpoints import CheckpointError, read_state
from models.depth_estimators.images import Group, device_of, groups_in_batches, precision, resized
from models.depth_estimators.loading import refuse_partial
from models.depth_estimators.protocol import DepthMap

INSTALL = "pip install git+https://github.com/facebookresearch/vggt"
_SIDE_PX = 518
_PATCH_PX = 14
_UNUSED_HEADS = ("point_head", "track_head")


@dataclass(frozen=True)
class Vggt:
    """See DepthEstimator; it cannot use a known focal length.

    network: (B, S, 3, h, w) images in [0, 1] to depth (B, S, h, w, 1), depth_conf (B, S, h, w), pose_enc (B, S, 9).
    batch_size: of pictures, those seen together included.
    """

    network: nn.Module
    half: bool = False
    batch_size: int = 16

    @classmethod
    def load(cls, weights: Path, device: str = "cpu", half: bool = False, batch_size: int = 16) -> Vggt:
        """From the authors' checkpoint, .safetensors or .pt.

        Raises CheckpointError if the package is not installed, and for weights that do not fit.
        """
        try:
            from vggt.models.vggt import VGGT
        except ImportError as error:
            raise CheckpointError(
                f"vggt: the package vggt cannot be imported ({error}). PyPI has no release of it; install the authors' "
                f"own with: {INSTALL}"
            ) from None
        network: nn.Module = VGGT()
        for head in _UNUSED_HEADS:
            setattr(network, head, None)
        state = {key: value for key, value in read_state(weights)[0].items() if not key.startswith(_UNUSED_HEADS)}
        refuse_partial("vggt", sorted(network.load_state_dict(state, strict=False).missing_keys))
        return cls(network.to(device).eval(), half, batch_size)

    def __call__(self, rgbs: Sequence[np.ndarray], focal_px: float | None = None) -> list[DepthMap]:
        return self.first_of([[rgb] for rgb in rgbs])

    def first_of(self, groups: Sequence[Group]) -> list[DepthMap]:
        """The map of the first picture of each group, which is seen together with the others, of the same scene."""
        return groups_in_batches(groups, self.batch_size, self._run)

    @torch.inference_mode()
    def _run(self, groups: Sequence[Group]) -> list[DepthMap]:
        height, width = groups[0][0].shape[:2]
        size = input_size(height, width)
        frames_BS3hw = torch.stack([torch.stack([prepare(rgb, size) for rgb in group]) for group in groups])
        with precision(self.network, self.half):
            output = self.network(frames_BS3hw.to(device_of(self.network)))
        depth_BHW = resized(output["depth"][:, 0, ..., 0], (height, width), "bilinear")
        depth_BHW = torch.where(depth_BHW > 0, depth_BHW, torch.nan)
        confidence_BHW = resized(output["depth_conf"][:, 0], (height, width), "bilinear")
        focals = [focal_px(fov_x_rad, width) for fov_x_rad in output["pose_enc"][:, 0, 8].tolist()]
        maps = zip(depth_BHW.cpu().numpy(), confidence_BHW.cpu().numpy(), focals, strict=True)
        return [DepthMap(depth_HW, confidence_HW, focal) for depth_HW, confidence_HW, focal in maps]


def focal_px(fov_x_rad: float, width: int) -> float | None:
    """None for a field of view that cannot be."""
    return 0.5 * width / math.tan(fov_x_rad / 2) if 0 < fov_x_rad < math.pi else None


def input_size(height: int, width: int) -> tuple[int, int]:
    """(h, w) of the network's input: the longer side 518, both multiples of a patch; square images as the authors'."""
    scale = _SIDE_PX / max(height, width)
    patches = [max(1, round(side * scale / _PATCH_PX)) for side in (height, width)]
    return patches[0] * _PATCH_PX, patches[1] * _PATCH_PX


def prepare(rgb: np.ndarray, size: tuple[int, int]) -> Tensor:
    """(H, W, 3) uint8 to (3, h, w) in [0, 1], bicubic; the network normalises by itself."""
    small = Image.fromarray(rgb).resize((size[1], size[0]), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(small)).movedim(-1, 0).float() / 255
