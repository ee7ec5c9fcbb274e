"""EfficientNet-Lite0's maps at strides 8 and 16 as voxel features, where no large encoder is at hand.

Shapes: K views, B of them at a time, C = 40 + 112 channels, h w cells of stride 8.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from models.efficientnet import CHANNELS, STRIDES, EfficientNetLite0, MissingPackage
from models.layers.norms import layer_norm_32
from scenegen.annotate.objects.protocol import network_images
from scenegen.annotate.torch_setup import pick_device, reduced_precision
from scenegen.errors import SceneGenError

LEVELS = (2, 3)
"""Of the network's five maps: fine enough for voxels, and deep enough to know parts."""


class EfficientNet:
    """A loaded network; see FeatureExtractor. image_px: edge of the images it is given, a multiple of 32."""

    name = "efficientnet_lite0"
    channels = sum(CHANNELS[level] for level in LEVELS)

    def __init__(self, network: EfficientNetLite0, image_px: int, device: torch.device, batch_size: int) -> None:
        self._network, self._image_px = network.to(device).eval(), image_px
        self._device, self._batch_size = device, batch_size

    @classmethod
    def load(cls, image_px: int, device: str = "auto", batch_size: int = 32) -> "EfficientNet":
        """With the weights of the package. Raises SceneGenError if it is not installed."""
        try:
            network = EfficientNetLite0.from_package()
        except MissingPackage as error:
            raise SceneGenError(str(error)) from None
        return cls(network, image_px, pick_device(device), batch_size)

    @torch.inference_mode()
    def __call__(self, rgba_KHW4: np.ndarray) -> Tensor:
        starts = range(0, len(rgba_KHW4), self._batch_size)
        return torch.cat([self._maps(rgba_KHW4[start : start + self._batch_size]) for start in starts])

    def _maps(self, rgba_BHW4: np.ndarray) -> Tensor:
        """Both levels on the finer one's cells, each normed by itself, so that neither outweighs the other."""
        with reduced_precision(self._device):
            maps = self._network.maps(network_images(rgba_BHW4, self._image_px, self._device))
        finest = STRIDES[LEVELS[0]]
        placed = [_placed(maps[level].float(), STRIDES[level], finest, self._image_px) for level in LEVELS]
        return torch.cat([layer_norm_32(map_BCHW.movedim(1, -1)).movedim(-1, 1) for map_BCHW in placed], dim=1)


def _placed(map_BCHW: Tensor, stride: int, cell_px: int, image_px: int) -> Tensor:
    """A map on the cells of `cell_px` pixels, bilinear, each cell showing what lies at its own place.

    TensorFlow's SAME padding puts the odd pixel right and below, so cell i of a map looks at pixel (i + 1) stride - 1,
    not at the middle of its own part of the image: half a cell off, which would be three voxels.
    """
    cells = torch.arange(image_px // cell_px, device=map_BCHW.device)
    index = ((cells + 0.5) * cell_px - 0.5 + 1) / stride - 1  # the pixel at the cell's centre, in cells of the map
    place = (2 * index + 1) / map_BCHW.shape[-1] - 1  # as grid_sample counts: the map's edges are -1 and 1
    grid_HW2 = torch.stack(torch.meshgrid(place, place, indexing="xy"), dim=-1)
    grid = grid_HW2.expand(len(map_BCHW), -1, -1, -1).to(map_BCHW)
    return functional.grid_sample(map_BCHW, grid, padding_mode="border", align_corners=False)
