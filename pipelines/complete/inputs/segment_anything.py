"""Masks from clicks, by a Segment Anything network in the format of the transformers library.

Shapes: H W image, S side of the network's square input, C features, P clicked points.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from models.checkpoints import CheckpointError
from models.depth_estimators.loading import from_transformers
from pipelines.complete.compute_device import ComputeDevice

FILES = ("config.json", "model.safetensors")
PUBLISHED = {  # with their sizes; all Apache-2.0
    "facebook/sam-vit-base": "375 MB",
    "facebook/sam-vit-large": "1.25 GB",
    "facebook/sam-vit-huge": "2.56 GB",
}
MEAN = np.array([0.485, 0.456, 0.406], np.float32)  # of ImageNet, as the network was trained
STD = np.array([0.229, 0.224, 0.225], np.float32)


@dataclass(frozen=True)
class Segmenter:
    """network: a SamModel. name: for visitors; of a folder only the last part, so that they do not see our paths."""

    network: Any
    compute: ComputeDevice
    name: str

    @classmethod
    def from_pretrained(cls, source: str, compute: ComputeDevice) -> Segmenter:
        """source: a folder with config.json and model.safetensors, or owner/repo on the hub. Raises CheckpointError."""
        try:
            from transformers.models.sam import SamModel
        except ImportError as error:
            raise CheckpointError("--segmenter needs the transformers library: pip install transformers") from error
        local = Path(source).is_dir()
        folder = Path(source) if local else _from_hub(source)
        return cls(
            from_transformers("Segment Anything", SamModel, folder / FILES[1]),
            compute,
            folder.resolve().name if local else source,
        )

    @property
    def side_px(self) -> int:
        return int(self.network.config.vision_config.image_size)

    def embed(self, rgb_HW3: np.ndarray) -> np.ndarray:
        """(C, S/16, S/16) float32. The slow part: once per image, for any number of clicks."""
        pixels_13SS = network_input(rgb_HW3, self.side_px).to(self.compute.device)
        with self.compute.using(self.network):
            return self.network.get_image_embeddings(pixels_13SS)[0].float().cpu().numpy()

    def mask(
        self, embedding: np.ndarray, size_px: tuple[int, int], points_P2: np.ndarray, inside_P: np.ndarray
    ) -> np.ndarray:
        """(H, W) bool.

        size_px: (width, height) of the image. points_P2: (x, y) in its pixels. inside_P: whether each point belongs to
        the object.

        A single point may mean a part, an object or a group. The network gives a mask for each; the one that it rates
        highest is used. For several points it gives one mask.
        """
        device = self.compute.device
        width, height = fed_size(size_px, self.side_px)
        points = torch.from_numpy(points_P2 * [width / size_px[0], height / size_px[1]])
        with replace(self.compute, bf16=False).using(self.network):  # bfloat16 moves a click by some pixels
            output = self.network(
                image_embeddings=torch.from_numpy(embedding)[None].to(device),
                input_points=points[None, None].float().to(device),
                input_labels=torch.from_numpy(inside_P.astype(np.int64))[None, None].to(device),
                multimask_output=len(points_P2) == 1,
            )
        best = int(output.iou_scores[0, 0].argmax())
        return (full_size(output.pred_masks[0, :, best].float(), size_px, self.side_px) > 0).cpu().numpy()


def fed_size(size_px: tuple[int, int], side_px: int) -> tuple[int, int]:
    """(width, height) of the image in the network's square: the longer edge fills it."""
    scale = side_px / max(size_px)
    width, height = (max(1, int(edge * scale + 0.5)) for edge in size_px)
    return width, height


def network_input(rgb_HW3: np.ndarray, side_px: int) -> Tensor:
    """(1, 3, S, S): resized in 8 bits, normalised, and padded with zeros to the right or below."""
    width, height = fed_size((rgb_HW3.shape[1], rgb_HW3.shape[0]), side_px)
    resized = np.asarray(Image.fromarray(rgb_HW3).resize((width, height), Image.Resampling.BILINEAR), np.float32)
    normal = torch.from_numpy((resized / 255 - MEAN) / STD).permute(2, 0, 1)
    return F.pad(normal, (0, side_px - width, 0, side_px - height))[None]


def full_size(logits_1hw: Tensor, size_px: tuple[int, int], side_px: int) -> Tensor:
    """(H, W) logits on the image, from those on the network's square without its padding."""
    width, height = fed_size(size_px, side_px)
    square = F.interpolate(logits_1hw[None], (side_px, side_px), mode="bilinear", align_corners=False)
    filled = square[..., :height, :width]
    return F.interpolate(filled, size_px[::-1], mode="bilinear", align_corners=False)[0, 0]


def _from_hub(repo: str) -> Path:
    """The folder of its files in the local cache; they are downloaded if they are not there. Raises CheckpointError."""
    if repo.count("/") != 1 or repo.startswith((".", "/", "~")):
        raise CheckpointError(f"--segmenter {repo}: there is no such folder. {_advice('facebook/sam-vit-base')}")
    try:
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(repo, allow_patterns=list(FILES)))
    except Exception as error:  # the client raises many kinds; all mean that there are no weights
        reason = type(error).__name__
        raise CheckpointError(
            f"--segmenter {repo}: the weights could not be fetched ({reason}). {_advice(repo)}"
        ) from error


def _advice(repo: str) -> str:
    size = f" ({PUBLISHED[repo]})" if repo in PUBLISHED else ""
    return f"Put {' and '.join(FILES)} of https://huggingface.co/{repo}{size} into a folder and give --segmenter FOLDER"
