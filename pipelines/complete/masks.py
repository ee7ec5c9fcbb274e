"""Instance masks from files: an id image, a folder of masks, COCO JSON. Masks are decoded when they are asked for.

Shapes: H W image.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from pipelines.complete.pictures import open_picture
from pipelines.errors import PipelineError, UsageError

IMAGE_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".webp", ".jpg", ".jpeg")
MAX_COORDINATE = 1e6  # the painter counts in 32 bits

MAX_COLOURS = 4096  # of an image of masks


class IdImage(Mapping[int, np.ndarray]):
    """Masks of an (H, W) image of ids; 0 is no instance."""

    def __init__(self, ids_HW: np.ndarray) -> None:
        self._ids_HW = ids_HW

    def __getitem__(self, instance_id: int) -> np.ndarray:
        if instance_id not in self._present:
            raise KeyError(instance_id)
        return self._ids_HW == instance_id

    def __iter__(self) -> Iterator[int]:
        return iter(self._present)

    def __len__(self) -> int:
        return len(self._present)

    @cached_property
    def _present(self) -> tuple[int, ...]:
        return tuple(int(i) for i in np.unique(self._ids_HW) if i != 0)


class LazyMasks(Mapping[int, np.ndarray]):
    """Masks that are made when they are asked for; 100 of a large image would fill the memory."""

    def __init__(self, makers: Mapping[int, Callable[[], np.ndarray]]) -> None:
        self._makers = dict(makers)

    def __getitem__(self, instance_id: int) -> np.ndarray:
        return self._makers[instance_id]()

    def __iter__(self) -> Iterator[int]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


def read_masks(path: Path, size_px: tuple[int, int], image_name: str = "") -> Mapping[int, np.ndarray]:
    """Masks by instance id.

    path: an image of ids (8 or 16 bit, or palette) or of colours (ids in the order of the colours' RGB values, black
    is no instance); a folder with one mask image an instance (its id is the number that the file is named by, else its
    place in the order of names); or COCO JSON with polygons or RLE (its annotation ids).
    size_px: (width, height) that the masks must have. image_name: whose annotations, in a JSON of several images.
    Raises UsageError or PipelineError.
    """
    if path.is_dir():
        return _from_folder(path, size_px)
    if path.suffix.lower() == ".json":
        return _from_coco(path, size_px, image_name)
    return IdImage(_ids_of(path, size_px))


def _ids_of(path: Path, size_px: tuple[int, int]) -> np.ndarray:
    image = _opened(path, size_px)
    if image.mode in ("RGB", "RGBA"):
        r, g, b = (np.asarray(image)[..., channel].astype(np.int64) for channel in range(3))
        colours, ids_P = np.unique((r << 16) | (g << 8) | b, return_inverse=True)
        if len(colours) > MAX_COLOURS:
            raise UsageError(
                f"{path} has {len(colours)} colours, so it is a picture or was stored with losses; give masks as a PNG "
                "with one colour an instance"
            )
        first = 0 if colours[0] == 0 else 1  # black has the number 0, whether it occurs or not
        return ids_P.reshape(image.height, image.width) + first
    if image.mode == "LA":
        image = image.getchannel("L")
    return np.asarray(image).astype(np.int64)


def _from_folder(path: Path, size_px: tuple[int, int]) -> LazyMasks:
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES)
    if not files:
        raise UsageError(f"{path} holds no mask images ({', '.join(IMAGE_SUFFIXES)})")
    numbered = all(file.stem.isdigit() for file in files)
    ids = [int(file.stem) if numbered else place for place, file in enumerate(files, start=1)]
    if len(set(ids)) < len(ids):
        raise UsageError(f"several masks in {path} have the same number; give each file another")
    return LazyMasks({i: _reader(file, size_px) for i, file in zip(ids, files, strict=True)})


def _reader(file: Path, size_px: tuple[int, int]) -> Callable[[], np.ndarray]:
    def read() -> np.ndarray:
        image = _opened(file, size_px)
        if image.mode in ("LA", "RGBA", "RGB"):
            image = image.convert("L")
        values = np.asarray(image).astype(np.int64)
        return values > values.max(initial=0) // 2

    return read


def _opened(path: Path, size_px: tuple[int, int]) -> Image.Image:
    image = open_picture(path, "an image of masks")
    if image.size != size_px:
        raise UsageError(
            f"{path} is {image.width}x{image.height} px, the image {size_px[0]}x{size_px[1]}; make them equal"
        )
    return image


def _from_coco(path: Path, size_px: tuple[int, int], image_name: str) -> LazyMasks:
    try:
        content = json.loads(path.read_text())
        annotations = content if isinstance(content, list) else content["annotations"]
        images = [] if isinstance(content, list) else content.get("images", [])
        wanted = _image_id(images, image_name, path)
        chosen = [one for one in annotations if wanted is None or one.get("image_id") == wanted]
        segmentations = {int(one.get("id", place)): one["segmentation"] for place, one in enumerate(chosen, start=1)}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PipelineError(f"{path} is no COCO annotation file: it lacks or misuses {error}") from error
    if not segmentations:
        raise UsageError(f"{path} has no annotations for {image_name or 'the image'}")
    return LazyMasks({i: _segmentation(one, size_px, path) for i, one in segmentations.items()})


def _image_id(images: Sequence[Mapping[str, Any]], name: str, path: Path) -> Any:
    """None where the file speaks of one image alone."""
    if len(images) < 2:
        return None
    for image in images:
        if Path(image["file_name"]).name == name:
            return image["id"]
    raise UsageError(f"{path} annotates {len(images)} images, and none of them is called {name!r}")


def _segmentation(segmentation: Any, size_px: tuple[int, int], path: Path) -> Callable[[], np.ndarray]:
    def make() -> np.ndarray:
        try:
            return drawn()
        except PipelineError:
            raise
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise PipelineError(
                f"{path} has a segmentation that is neither polygons nor run lengths: {error}"
            ) from error

    def drawn() -> np.ndarray:
        if isinstance(segmentation, list):
            return polygons_to_mask(segmentation, size_px)
        height, width = segmentation["size"]
        if (width, height) != size_px:
            raise UsageError(f"{path} has masks of {width}x{height} px, the image is {size_px[0]}x{size_px[1]}")
        counts = segmentation["counts"]
        return rle_to_mask(counts if isinstance(counts, list) else decode_counts(counts), width, height)

    return make


def polygons_to_mask(polygons: Sequence[Sequence[float]], size_px: tuple[int, int]) -> np.ndarray:
    """(H, W) bool: the union of polygons [x0, y0, x1, y1, ...] in pixels. Raises ValueError for points far outside."""
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
