"""Instance masks of COCO JSON, as annotation programs and segmenters write it.

Shapes: H W image.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from pipelines.complete.resize import check_shape, resized
from pipelines.errors import PipelineError, UsageError

MAX_COORDINATE = 1e6  # the painter counts in 32 bits
MAX_PIXELS = 1 << 27  # of a mask; run lengths of a few bytes can stand for more than fills the memory
NAMED = 5  # images in a message
OTHERS = {  # a key that tells whose file it is -> what to do
    "shapes": "labelme's own; export it as COCO, or as an image of ids",
    "_via_img_metadata": "VIA's own; export its annotations as COCO",
    "regions": "VIA's own; export its annotations as COCO",
    "segments_info": "panoptic; give its PNG as the image of masks",
}

MaskMaker = Callable[[], np.ndarray]


@dataclass(frozen=True)
class CocoMasks:
    """makers: id -> what draws the (H, W) bool mask. assumed: what was taken for granted, in sentences."""

    makers: Mapping[int, MaskMaker]
    assumed: tuple[str, ...] = ()


def read_coco(path: Path, size_px: tuple[int, int], image_name: str = "") -> CocoMasks:
    """The annotations of one image: polygons, or run lengths in both forms.

    path: COCO's annotations or results, also of another size of the image, to which they are scaled. size_px: (width,
    height) that the masks must have. image_name: whose annotations, in a JSON of several images. Ids are COCO's where
    they are numbers of their own, else their order. Raises UsageError or PipelineError.
    """
    content = _parsed(path)
    images = [] if isinstance(content, list) else content.get("images") or []
    annotations = _annotations(content, path)
    if not isinstance(images, list) or not all(isinstance(one, dict) for one in images):
        raise PipelineError(f'{path} is no COCO annotation file: its "images" are no list of images')
    image = _image(images, image_name, path)
    chosen = _of_image(annotations, image, image_name, path)
    if not any(one.get("segmentation") for one in chosen):
        raise UsageError(f"{path} has boxes or points, but no masks: none of its annotations has a segmentation")
    ids, numbered = _ids(chosen)
    drawn_px = _drawn_size(image, size_px, path)
    makers = {i: _maker(one.get("segmentation"), drawn_px, size_px, path) for i, one in zip(ids, chosen, strict=True)}
    crowds = sum(bool(one.get("iscrowd")) for one in chosen)
    assumed = [
        _stranger(image, image_name),
        numbered,
        f"{crowds} of the masks are marked as crowds (iscrowd); each is taken as one object" if crowds else "",
    ]
    return CocoMasks(makers, tuple(f"{path}: {one}" for one in assumed if one))


def _parsed(path: Path) -> Any:
    try:
        content = json.loads(path.read_bytes())  # of bytes, so that a mark of their order is skipped
    except ValueError as error:
        raise PipelineError(f"{path} is no JSON: {error}") from error
    if not isinstance(content, dict | list):
        raise PipelineError(f"{path} is no COCO annotation file: it holds {content!r:.20}")
    return content


def _annotations(content: Any, path: Path) -> list[dict[str, Any]]:
    annotations = content if isinstance(content, list) else content.get("annotations")
    first = annotations[0] if annotations and isinstance(annotations, list) else {}
    for keys in (content, first):
        theirs = next((said for key, said in OTHERS.items() if key in keys), None)
        if theirs and "segmentation" not in first:
            raise UsageError(f"{path} is no COCO annotation file, but {theirs}")
    if not isinstance(annotations, list) or not all(isinstance(one, dict) for one in annotations):
        found = ", ".join(map(str, content)) if isinstance(content, dict) else "a list"
        raise PipelineError(f'{path} is no COCO annotation file: it lacks a list of "annotations"; it has {found:.80}')
    return annotations


def _image(images: Sequence[Mapping[str, Any]], name: str, path: Path) -> Mapping[str, Any] | None:
    """The entry of the image; None where the file describes none."""
    if len(images) < 2:
        return images[0] if images else None
    for is_it in (_is_named, _is_called_alike):
        found = [image for image in images if is_it(image, name)]
        if len(found) == 1:
            return found[0]
    names = ", ".join(_file_name(image) for image in images[:NAMED])
    more = ", ..." if len(images) > NAMED else ""
    raise UsageError(
        f"{path} annotates {len(images)} images, and none of them alone is called {name!r}; there are {names}{more}; "
        "call the image like one of them"
    )


def _file_name(image: Mapping[str, Any]) -> str:
    return PureWindowsPath(str(image.get("file_name", ""))).name  # which knows both kinds of slashes


def _is_named(image: Mapping[str, Any], name: str) -> bool:
    return _file_name(image) == name


def _is_called_alike(image: Mapping[str, Any], name: str) -> bool:
    """The same with another suffix, or as Roboflow renames it: room.jpg to room_jpg.rf.0123abcd.jpg."""
    given, file = PureWindowsPath(name), PureWindowsPath(_file_name(image))
    return file.stem == given.stem or file.name.startswith(name.replace(".", "_") + ".rf.")


def _stranger(image: Mapping[str, Any] | None, name: str) -> str:
    if image is None or not name or not _file_name(image) or _is_named(image, name) or _is_called_alike(image, name):
        return ""
    return f"it annotates {_file_name(image)}; taken for {name}"


def _of_image(
    annotations: list[dict[str, Any]], image: Mapping[str, Any] | None, name: str, path: Path
) -> list[dict[str, Any]]:
    """Those of the image; all, where neither side says whose they are."""
    whose = {str(one["image_id"]) for one in annotations if "image_id" in one}
    if image is None:
        if len(whose) > 1:
            raise UsageError(
                f"{path} has annotations of {len(whose)} images and does not say which they are; leave those of "
                f"{name or 'the image'}"
            )
        chosen = annotations
    else:
        own = str(image.get("id"))
        chosen = [one for one in annotations if str(one.get("image_id", own)) == own]
    if not chosen:
        raise UsageError(f"{path} has no annotations for {name or 'the image'}")
    return chosen


def _ids(annotations: Sequence[Mapping[str, Any]]) -> tuple[list[int], str]:
    """An id each, and what there is to say of them."""
    places = list(range(1, len(annotations) + 1))
    given = [one.get("id") for one in annotations]
    if all(i is None for i in given):
        return places, ""
    try:
        ids = [int(i) for i in given]  # type: ignore[arg-type]  # None raises, too
    except (TypeError, ValueError, OverflowError):
        return places, f"its ids are no numbers; the masks are counted from 1 to {len(places)} in their order"
    if len(set(ids)) < len(ids):
        return places, f"several masks have one id; they are counted from 1 to {len(places)} in their order"
    return ids, ""


def _drawn_size(image: Mapping[str, Any] | None, size_px: tuple[int, int], path: Path) -> tuple[int, int]:
    """(width, height) of the image that polygons were drawn on. Raises UsageError for another shape."""
    size = (image or {}).get("width"), (image or {}).get("height")
    if not all(isinstance(one, int | float) and 0 < one < MAX_COORDINATE for one in size):
        return size_px
    drawn_px = int(size[0]), int(size[1])  # type: ignore[arg-type]
    check_shape(drawn_px, size_px, path)
    return drawn_px


def _maker(segmentation: Any, drawn_px: tuple[int, int], size_px: tuple[int, int], path: Path) -> MaskMaker:
    def make() -> np.ndarray:
        try:
            if isinstance(segmentation, dict):
                height, width = segmentation["size"]
                if not 0 < width * height <= MAX_PIXELS:
                    raise PipelineError(f"it has {width}x{height} pixels")
                counts = segmentation["counts"]
                runs = counts if isinstance(counts, list) else decode_counts(counts)
                return resized(rle_to_mask(runs, width, height), size_px, path)
            return polygons_to_mask(_scaled(segmentation or [], drawn_px, size_px), size_px)
        except UsageError:
            raise
        except (PipelineError, ValueError, KeyError, TypeError, OverflowError) as error:
            raise PipelineError(f"{path} has a segmentation that cannot be read: {error}") from error

    return make


def _scaled(segmentation: Any, drawn_px: tuple[int, int], size_px: tuple[int, int]) -> list[list[float]]:
    """Polygons x, y, x, y, ... in pixels of the image; some write one polygon without a list around it, or pairs.

    Raises ValueError for numbers that are no pairs.
    """
    polygons = [segmentation] if segmentation and not isinstance(segmentation[0], list) else segmentation
    flat = [np.asarray(polygon, np.float64).reshape(-1) for polygon in polygons]
    odd = next((len(one) for one in flat if len(one) % 2), None)
    if odd is not None:
        raise ValueError(f"a polygon has {odd} numbers, which are no pairs of x and y")
    scale = np.divide(size_px, drawn_px)
    return [(one.reshape(-1, 2) * scale).reshape(-1).tolist() for one in flat]


def polygons_to_mask(polygons: Sequence[Sequence[float]], size_px: tuple[int, int]) -> np.ndarray:
    """(H, W) bool: the union of polygons [x0, y0, x1, y1, ...] in pixels; what has fewer than three corners is none.

    Raises ValueError for points far outside.
    """
    image = Image.new("1", size_px)
    draw = ImageDraw.Draw(image)
    for polygon in polygons:
        if not np.all(np.abs(np.asarray(polygon, float)) < MAX_COORDINATE):
            raise ValueError(f"a point of a polygon lies {MAX_COORDINATE:g} px away, or is no number")
        if len(polygon) >= 6:
            draw.polygon([(x, y) for x, y in zip(polygon[0::2], polygon[1::2], strict=True)], fill=1)
    return np.asarray(image)


def rle_to_mask(counts: Sequence[int], width: int, height: int) -> np.ndarray:
    """(H, W) bool from run lengths, zeros first, down the columns. Raises PipelineError if they do not fill it."""
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
