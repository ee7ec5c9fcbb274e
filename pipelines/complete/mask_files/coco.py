"""Masks of a COCO JSON: polygons, run lengths, compressed run lengths; decoded when they are asked for.

Shapes: H W image.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from pipelines.complete.resize import check_shape, resized
from pipelines.errors import PipelineError, UsageError

MAX_COORDINATE = 1e6  # the painter counts in 32 bits
BEYOND = 1.05  # times the image, to which polygons reach that were drawn by hand


@dataclass(frozen=True)
class CocoMasks:
    """makers: of the masks, by annotation id. sizes_px: (width, height) of what was annotated, where the file says."""

    makers: dict[int, Callable[[], np.ndarray]]
    sizes_px: set[tuple[int, int]]


def coco_masks(path: Path, size_px: tuple[int, int], image_name: str) -> CocoMasks:
    """Of the image's size: annotations of another size but the same shape are scaled. image_name: whose, in a JSON of
    several images. Raises UsageError or PipelineError."""
    try:
        content = json.loads(path.read_text())
        annotations = content if isinstance(content, list) else content["annotations"]
        images = [] if isinstance(content, list) else content.get("images", [])
        image = _image(images, image_name, path)
        chosen = [one for one in annotations if len(images) < 2 or one.get("image_id") == image["id"]]
        by_id = {int(one.get("id", place)): one["segmentation"] for place, one in enumerate(chosen, start=1)}
        said = (int(image["width"]), int(image["height"])) if {"width", "height"} <= set(image) else None
        sizes_px = {i: _size_of(one) or said for i, one in by_id.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, UsageError):
            raise
        raise PipelineError(f"{path} is no COCO annotation file: it lacks or misuses {error}") from error
    if not by_id:
        raise UsageError(f"{path} has no annotations for {image_name or 'the image'}")
    known_px = {size for size in sizes_px.values() if size is not None}
    for size in known_px:
        check_shape(size, size_px, path)
    return CocoMasks({i: partial(_mask, one, sizes_px[i], size_px, path) for i, one in by_id.items()}, known_px)


def _image(images: Sequence[Mapping[str, Any]], name: str, path: Path) -> Mapping[str, Any]:
    """The file's entry of the image, empty where it has none."""
    if len(images) < 2:
        return images[0] if images else {}
    for image in images:
        if Path(image["file_name"]).name == name:
            return image
    raise UsageError(f"{path} annotates {len(images)} images, and none of them is called {name!r}")


def _size_of(segmentation: Any) -> tuple[int, int] | None:
    """(width, height) of run lengths."""
    if not isinstance(segmentation, Mapping):
        return None
    height, width = segmentation["size"]
    return int(width), int(height)


def _mask(segmentation: Any, given_px: tuple[int, int] | None, size_px: tuple[int, int], path: Path) -> np.ndarray:
    """(H, W) bool. Raises PipelineError."""
    try:
        if isinstance(segmentation, list):
            if given_px is None:
                _check_reach(segmentation, size_px, path)
            return polygons_to_mask(segmentation, size_px, given_px or size_px)
        counts, (width, height) = segmentation["counts"], given_px or size_px
        runs = counts if isinstance(counts, list) else decode_counts(counts)
        return resized(rle_to_mask(runs, width, height), size_px, path)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        if isinstance(error, UsageError):
            raise
        raise PipelineError(f"{path} has a segmentation that is neither polygons nor run lengths: {error}") from error


def _check_reach(polygons: Sequence[Sequence[float]], size_px: tuple[int, int], path: Path) -> None:
    """Raises UsageError for polygons of a larger image."""
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

    Whole numbers are centres of pixels. Raises ValueError for points far outside.
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
    """(H, W) bool from run lengths, zeros first, down the columns. Raises PipelineError if they do not fill it."""
    if sum(counts) != width * height:
        raise PipelineError(f"run lengths of {sum(counts)} pixels do not fill a mask of {width}x{height}")
    values = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return values.reshape(width, height).T


def decode_counts(text: str | bytes) -> list[int]:
    """Run lengths from COCO's compressed form: little-endian groups of 5 bits, each a printable character; from the
    fourth on, differences to the run before the last."""
    data = text.encode() if isinstance(text, str) else text
    counts: list[int] = []
    value, shift = 0, 0
    for byte in data:
        bits = byte - 48
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
