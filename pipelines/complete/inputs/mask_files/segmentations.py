"""A segmentation of COCO → a mask: polygons, run lengths, compressed run lengths.

Shapes: H W image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from pipelines.complete.inputs.resize import resized
from pipelines.errors import PipelineError, UsageError

MAX_COORDINATE = 1e6  # Pillow draws with 32 bit coordinates
MAX_PIXELS = 1 << 27  # of a mask; run lengths of a few bytes can describe a mask that fills the memory
BEYOND = 1.05  # times the image: polygons that were drawn by hand reach so far


def size_of_runs(segmentation: Any) -> tuple[int, int] | None:
    """(width, height) of the mask of run lengths; None for polygons. Raises ValueError, KeyError, TypeError."""
    if not isinstance(segmentation, Mapping):
        return None
    height, width = (int(side) for side in segmentation["size"])
    if height < 1 or width < 1 or height * width > MAX_PIXELS:
        raise ValueError(f"run lengths of {width}x{height} px")
    return width, height


def rasterised(segmentation: Any, given_px: tuple[int, int] | None, size_px: tuple[int, int], path: Path) -> np.ndarray:
    """(H, W) bool of size_px (width, height); empty if nothing is segmented.

    given_px: (width, height) of the annotated image, None if it is unknown. Raises PipelineError or UsageError.
    """
    try:
        if isinstance(segmentation, Mapping):
            counts, (width, height) = segmentation["counts"], given_px or size_px
            runs = counts if isinstance(counts, list) else decode_counts(counts)
            return resized(rle_to_mask(runs, width, height), size_px, path)
        polygons = _polygons(segmentation or [])
        if given_px is None:
            _check_reach(polygons, size_px, path)
        return polygons_to_mask(polygons, size_px, given_px or size_px)
    except UsageError:
        raise
    except (PipelineError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise PipelineError(f"{path} has a segmentation that cannot be read: {error}") from error


def _polygons(segmentation: Any) -> list[list[float]]:
    """x, y, x, y, ... each. Some programs write one polygon without a list around it, or pairs. Raises ValueError."""
    polygons = [segmentation] if segmentation and not isinstance(segmentation[0], list) else segmentation
    flat = [np.asarray(polygon, np.float64).reshape(-1) for polygon in polygons]
    odd = next((len(one) for one in flat if len(one) % 2), None)
    if odd is not None:
        raise ValueError(f"a polygon has {odd} numbers, which are no pairs of x and y")
    return [one.tolist() for one in flat]


def _check_reach(polygons: Sequence[Sequence[float]], size_px: tuple[int, int], path: Path) -> None:
    """Raises UsageError for polygons that must belong to a larger image."""
    for side, points in ((0, "x"), (1, "y")):
        reach = max((max(polygon[side::2], default=0) for polygon in polygons), default=0)
        if BEYOND * size_px[side] < reach < MAX_COORDINATE:
            raise UsageError(
                f"{path} has a polygon that reaches to {points} = {reach:g}, and the image has {size_px[side]} px: add "
                "the width and height of the annotated image to its `images`, and the polygons are scaled"
            )


def polygons_to_mask(
    polygons: Sequence[Sequence[float]], size_px: tuple[int, int], given_px: tuple[int, int]
) -> np.ndarray:
    """(H, W) bool of size_px: the union of polygons [x0, y0, x1, y1, ...] in pixels of an image of given_px.

    Integer coordinates are centres of pixels. Raises ValueError for points far outside.
    """
    image = Image.new("1", size_px)
    draw = ImageDraw.Draw(image)
    x_scale, y_scale = size_px[0] / given_px[0], size_px[1] / given_px[1]
    for polygon in polygons:
        if not np.all(np.abs(np.asarray(polygon, float)) < MAX_COORDINATE):
            raise ValueError(f"a point of a polygon lies {MAX_COORDINATE:g} px away, or is no number")
        if len(polygon) >= 6:
            xs, ys = (
                ((x + 0.5) * x_scale - 0.5 for x in polygon[0::2]),
                ((y + 0.5) * y_scale - 0.5 for y in polygon[1::2]),
            )
            draw.polygon(list(zip(xs, ys, strict=True)), fill=1)
    return np.asarray(image)


def rle_to_mask(counts: Sequence[int], width: int, height: int) -> np.ndarray:
    """(H, W) bool from run lengths, zeros first, column by column. Raises PipelineError if they do not fill it."""
    if sum(counts) != width * height:
        raise PipelineError(f"run lengths of {sum(counts)} pixels do not fill a mask of {width}x{height}")
    values = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return values.reshape(width, height).T


def decode_counts(text: str | bytes) -> list[int]:
    """Run lengths from COCO's compressed form: little-endian groups of 5 bits, each a printable character; from the
    fourth on, differences to the run before the last. Raises PipelineError."""
    data = text.encode() if isinstance(text, str) else text
    if data[:2] in (b"b'", b'b"'):
        raise PipelineError("the compressed run lengths were written with str(); decode bytes with .decode()")
    counts: list[int] = []
    value, shift = 0, 0
    for byte in data:
        bits = byte - 48
        if not 0 <= bits < 64:
            raise PipelineError(f"the compressed run lengths have the character {chr(byte)!r}, which has no meaning")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            if shift > 60:
                raise PipelineError("the compressed run lengths are broken: one of them has more than 60 bits")
            continue
        if bits & 16:
            value -= 1 << shift  # the last group carries the sign
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value, shift = 0, 0
    return counts
