"""The interface of feature extractors: views in, feature maps out.

Shapes: K views, H W their size, S the side of the network's input, C channels, h w cells of a map.
"""

from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from scenegen.contract.crops import premultiplied


class FeatureExtractor(Protocol):
    """A loaded image network that is ready to run.

    name: of its record in the manifest. channels: C.
    """

    name: str
    channels: int

    def __call__(self, rgba_KHW4: np.ndarray) -> Tensor:
        """Square uint8 views of one size with straight alpha to [K, C, h, w] float32 on the network's device.

        Cell (i, j) covers the image's part [i / h, (i + 1) / h) x [j / w, (j + 1) / w).
        """
        ...


def network_images(rgba_KHW4: np.ndarray, size_px: int, device: torch.device) -> Tensor:
    """The views as network input [K, 3, S, S] in [0, 1]: on black, resized with Lanczos."""
    images = [Image.fromarray(rgb) for rgb in premultiplied(rgba_KHW4)]
    sized = [image.resize((size_px, size_px), Image.Resampling.LANCZOS) for image in images]
    batch = torch.from_numpy(np.stack([np.asarray(image) for image in sized])).to(device)
    return batch.movedim(-1, 1).float() / 255
