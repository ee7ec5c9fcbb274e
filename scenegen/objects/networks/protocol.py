"""What every feature extractor is: views in, maps of features out.

Shapes: K views, H W their size, S the edge that the network is given, C channels, h w cells of a map.
"""

from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from scenegen.contract.crops import premultiplied


class FeatureExtractor(Protocol):
    """An image network that is loaded and ready.

    name: of its record in the manifest. channels: C.
    """

    name: str
    channels: int

    def __call__(self, rgba_KHW4: np.ndarray) -> Tensor:
        """uint8 views with straight alpha, of one square size, to [K, C, h, w] float32 on the network's device.

        Cell (i, j) belongs to the image's part [i / h, (i + 1) / h) x [j / w, (j + 1) / w).
        """
        ...


def network_images(rgba_KHW4: np.ndarray, size_px: int, device: torch.device) -> Tensor:
    """[K, 3, S, S] in [0, 1]: on black, resized with Lanczos."""
    images = [Image.fromarray(rgb) for rgb in premultiplied(rgba_KHW4)]
    sized = [image.resize((size_px, size_px), Image.Resampling.LANCZOS) for image in images]
    batch = torch.from_numpy(np.stack([np.asarray(image) for image in sized])).to(device)
    return batch.movedim(-1, 1).float() / 255
