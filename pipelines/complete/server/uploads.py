"""Uploaded bytes → arrays. Sizes are checked before anything is decoded.

Files get fixed names inside the folder of the job; nothing that a client sends becomes a path.
Shapes: H W image.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tokenize import TokenError
from typing import TypeVar

import numpy as np
from PIL import Image

from pipelines.complete.inputs.depth_file import DepthMap, read_depth
from pipelines.complete.inputs.depth_units import UnknownUnit, parse_unit
from pipelines.complete.inputs.mask_files.components import connected_components
from pipelines.complete.inputs.masks import MaskFile, read_masks
from pipelines.complete.inputs.pictures import UNREADABLE, read_image
from pipelines.complete.server.limits import Limits, Refused
from pipelines.errors import PipelineError

IMAGE_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
_UNREADABLE = (
    *UNREADABLE,
    PipelineError,
    TokenError,
    TypeError,
    LookupError,
    AttributeError,
    OverflowError,
    RecursionError,
)
T = TypeVar("T")
DEPTH_IS = "Depth is taken as a .npy array or a .png of 16 bit."


def image_from(content: bytes, folder: Path, limits: Limits) -> np.ndarray:
    """(H, W, 3) uint8. Raises Refused."""
    _check_picture_size(content, limits)
    return _decoded(lambda: read_image(_stored(folder / "image", content)), folder)


@dataclass(frozen=True)
class UploadedMasks:
    """ids_HW: (H, W) int32, 0 is no instance; where masks overlap, the later one counts.

    notes: what was assumed about the file, sentences.
    parts: the number of components of a single mask, which may be several objects.
    """

    ids_HW: np.ndarray
    notes: tuple[str, ...]
    parts: int


def masks_from(
    content: bytes, size_px: tuple[int, int], folder: Path, limits: Limits, split: bool = False
) -> UploadedMasks:
    """content: an image of ids or colours, or COCO JSON. split: each component of a single mask is an instance.

    Raises Refused.
    """
    is_json = content[:64].removeprefix(codecs.BOM_UTF8).lstrip()[:1] in (b"{", b"[")
    if is_json:
        _check_run_lengths(content, limits)
    else:
        _check_picture_size(content, limits)
    path = _stored(folder / ("masks.json" if is_json else "masks.png"), content)

    def paint() -> UploadedMasks:
        given = read_masks(path, size_px)
        limits.check_instances(len(given.by_id))
        by_id, notes = _numbered(given)
        ids_HW = np.zeros((size_px[1], size_px[0]), np.int32)
        for instance_id, mask_HW in by_id.items():
            ids_HW[mask_HW] = instance_id
        parts_HW, sizes = connected_components(ids_HW > 0) if len(by_id) == 1 else (ids_HW, ())
        if split and sizes:
            limits.check_instances(len(sizes))
            return UploadedMasks(parts_HW, notes, 1)
        return UploadedMasks(ids_HW, notes, len(sizes))

    masks = _decoded(paint, folder)
    return replace(masks, notes=tuple(note.replace(f"{folder}/", "") for note in masks.notes))


def _numbered(given: MaskFile) -> tuple[Mapping[int, np.ndarray], tuple[str, ...]]:
    """Masks by ids from 1 to 65535, which the page's images of ids can hold, and what was assumed."""
    if all(0 < number < 1 << 16 for number in given.by_id):
        return given.by_id, given.assumed
    if min(given.by_id) < 0:
        raise Refused(400, "Instances need numbers of 0 and more.")
    note = f"the masks are numbered {', '.join(map(str, list(given.by_id)[:3]))}, ...; here they are counted from 1"
    return dict(enumerate(given.by_id.values(), 1)), (*given.assumed, note)


def depth_from(content: bytes, size_px: tuple[int, int], unit: str, folder: Path, limits: Limits) -> DepthMap:
    """unit: a name or metres; empty to decide it from the values. Raises Refused."""
    unit_m = _decoded(lambda: parse_unit(unit), folder) if unit else None
    if content.startswith(np.lib.format.MAGIC_PREFIX):
        path = _stored(folder / "depth.npy", content)
        mapped = _decoded(lambda: np.load(path, mmap_mode="r"), folder)  # fails if the content is too short
        if mapped.ndim < 2 or not np.issubdtype(mapped.dtype, np.number):
            raise Refused(400, f"The depth is an array of shape {mapped.shape}, not one number a pixel.")
        limits.check_pixels(mapped.size, 1)
    elif content.startswith(b"\x89PNG"):
        _check_picture_size(content, limits)
        path = _stored(folder / "depth.png", content)
    else:
        raise Refused(415, DEPTH_IS)
    return _decoded(lambda: read_depth(path, size_px, unit_m), folder)


def described(depth: DepthMap) -> str:
    """What a visitor should know about it: the unit that was assumed, and its range."""
    known_K = depth.depth_HW[np.isfinite(depth.depth_HW)]
    if not known_K.size:
        return "no pixel of it has depth"
    return (
        depth.assumed
        or f"{known_K.min():.3g} to {known_K.max():.3g} m, half of it nearer than {np.median(known_K):.3g} m"
    )


def ids_png(ids_HW: np.ndarray) -> bytes:
    """Ids in the encoding of the page: id = red + 256 * green."""
    rgb = np.stack([ids_HW & 255, ids_HW >> 8, np.zeros_like(ids_HW)], axis=-1)
    return image_png(rgb.astype(np.uint8))


def image_jpeg(rgb_HW3: np.ndarray) -> bytes:
    """For the page only: a tenth of the size of a lossless file. The networks see the upload itself."""
    jpeg = io.BytesIO()
    Image.fromarray(rgb_HW3).save(jpeg, "JPEG", quality=92)
    return jpeg.getvalue()


def image_png(pixels: np.ndarray) -> bytes:
    """pixels: (H, W, 3) or (H, W) uint8."""
    png = io.BytesIO()
    Image.fromarray(pixels).save(png, "PNG", compress_level=1)
    return png.getvalue()


def _stored(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _check_picture_size(content: bytes, limits: Limits) -> None:
    """Checks the size in the header: a small file can describe a picture that fills the memory. Raises Refused."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            width, height = Image.open(io.BytesIO(content), formats=IMAGE_FORMATS).size
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise Refused(413, "The image has more pixels than this server takes; make it smaller.") from error
    except UNREADABLE as error:
        raise Refused(415, f"This is no image that the server knows ({', '.join(IMAGE_FORMATS)}).") from error
    limits.check_pixels(width, height)


def _check_run_lengths(content: bytes, limits: Limits) -> None:
    """Checks the sizes of run lengths: a few characters can describe a mask that fills the memory. Raises Refused.

    What is wrong with the file otherwise, its reader says.
    """
    try:
        read = json.loads(content)
    except (ValueError, RecursionError):
        return
    annotations = read.get("annotations") if isinstance(read, dict) else read
    for one in annotations if isinstance(annotations, list) else ():
        runs = one.get("segmentation") if isinstance(one, dict) else None
        with contextlib.suppress(ValueError, TypeError, OverflowError):
            height, width = runs["size"] if isinstance(runs, dict) and "size" in runs else (1, 1)
            limits.check_pixels(int(width), int(height))


def _decoded(decode: Callable[[], T], folder: Path) -> T:
    """Errors of the command's readers become Refused, without the names of our files."""
    try:
        return decode()
    except _UNREADABLE as error:
        text = str(error).replace(f"{folder}/", "") if isinstance(error, PipelineError) else "it is damaged."
        choose = ". Choose the unit of the depth." if isinstance(error, UnknownUnit) else ""
        raise Refused(400, f"The file cannot be used: {text}{choose}") from error
