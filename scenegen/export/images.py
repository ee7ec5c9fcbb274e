"""Images as PNG files."""

import io

import numpy as np
from PIL import Image

# The files are written once and copied often, but deflating harder takes several times as long for some per cent.
COMPRESS_LEVEL = 3


def png(image: np.ndarray) -> bytes:
    """Lossless PNG of (H, W, 3) uint8 colours, of (H, W) uint8 or uint16 values, or of an (H, W) bool mask (0, 255)."""
    pixels = image.astype(np.uint8) * 255 if image.dtype == bool else image
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png", compress_level=COMPRESS_LEVEL)
    return file.getvalue()
