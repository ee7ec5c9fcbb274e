"""Depth and masks of another size than the image, resized to it by nearest pixels.

Shapes: H W image.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipelines.errors import UsageError

STRETCH = 0.01  # difference of aspect ratios that is taken for rounding, as is one pixel


def resized(map_HW: np.ndarray, size_px: tuple[int, int], path: Path) -> np.ndarray:
    """(H, W) of size_px (width, height): each pixel has the value at its centre. Raises UsageError (`check_shape`)."""
    height, width = map_HW.shape
    check_shape((width, height), size_px, path)
    if (width, height) == size_px:
        return map_HW
    rows, columns = (
        ((np.arange(to) + 0.5) * len_ / to).astype(int) for to, len_ in ((size_px[1], height), (size_px[0], width))
    )
    return map_HW[rows][:, columns]


def note_on_sizes(path: Path, given_px: set[tuple[int, int]], size_px: tuple[int, int]) -> tuple[str, ...]:
    """A sentence for the user about maps of other sizes than the image's, if there are any."""
    others = sorted(given_px - {size_px})
    if not others:
        return ()
    sizes = ", ".join(f"{width}x{height}" for width, height in others)
    return (f"{path} is {sizes} px, brought to the image's {size_px[0]}x{size_px[1]} by nearest pixels",)


def check_shape(given_px: tuple[int, int], size_px: tuple[int, int], path: Path) -> None:
    """Raises UsageError unless given_px and size_px (width, height) have the same aspect ratio."""
    if same_shape(given_px, size_px):
        return
    sizes = f"{path} is {given_px[0]}x{given_px[1]} px and the image {size_px[0]}x{size_px[1]}"
    if same_shape(given_px[::-1], size_px):
        raise UsageError(
            f"{sizes}: one of them is turned by 90 degrees. The image is taken as its EXIF orientation says, as "
            "viewers show it; turn the other one the same way"
        )
    raise UsageError(f"{sizes}: their shapes differ; make it from the whole image, neither cropped nor padded")


def same_shape(given_px: tuple[int, int], size_px: tuple[int, int]) -> bool:
    """Whether both have the same aspect ratio, to a pixel or a hundredth."""
    across, down = given_px[0] * size_px[1], given_px[1] * size_px[0]
    smaller_is_given = given_px[0] * given_px[1] < size_px[0] * size_px[1]
    one_pixel = max(size_px if smaller_is_given else given_px)  # of the smaller image, in the same measure
    return abs(across - down) <= max(STRETCH * max(across, down), one_pixel)
