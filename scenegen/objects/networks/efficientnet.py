"""EfficientNet-Lite0's feature maps at strides 8 and 16 as voxel features, for use without a large encoder.

Shapes: K views, B of them at a time, C = 40 + 112 channels, h w cells of stride 8.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from models.efficientnet import CHANNELS, EfficientNetLite0, MissingPackage
from models.layers.norms import layer_norm_32
from scenegen.annotate.torch_setup import pick_device, reduced_precision
from scenegen.errors import SceneGenError
from scenegen.objects.networks.protocol import network_images

LEVELS = (2, 3)
"""Which of the network's five maps: fine enough for voxels, and deep enough to tell parts apart."""


class EfficientNet:
    """A loaded EfficientNet-Lite0; see FeatureExtractor. image_px: side of its input images, a multiple of 32."""

    name = "efficientnet_lite0"
    channels = sum(CHANNELS[level] for level in LEVELS)

    def __init__(self, network: EfficientNetLite0, image_px: int, device: torch.device, batch_size: int) -> None:
        self._network, self._image_px = network.to(device).eval(), image_px
        self._device, self._batch_size = device, batch_size

    @classmethod
    def load(cls, image_px: int, device: str = "auto", batch_size: int = 32) -> "EfficientNet":
        """Load it with the weights of its package. Raises SceneGenError if the package is not installed."""
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
        """Both levels at the finer resolution, each normalised by itself, so that neither outweighs the other."""
        with reduced_precision(self._device):
            maps = self._network.maps(network_images(rgba_BHW4, self._image_px, self._device))
        size = maps[LEVELS[0]].shape[-2:]
        levels = [functional.interpolate(maps[level].float(), size, mode="bilinear") for level in LEVELS]
        return torch.cat([layer_norm_32(map_BCHW.movedim(1, -1)).movedim(-1, 1) for map_BCHW in levels], dim=1)
