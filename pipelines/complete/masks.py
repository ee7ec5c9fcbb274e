"""Instance masks from files: an id image, a folder of masks, COCO JSON. Masks are decoded when they are asked for.

Shapes: H W image.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from pipelines.complete.coco import read_coco
from pipelines.complete.pictures import open_picture
from pipelines.errors import UsageError

IMAGE_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".webp", ".jpg", ".jpeg")
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

    path: an image of ids (8 or 16 bit, or palette) or of colours (ids in the order of the colours' RGB values, black,
    transparent and negative is no instance); a folder with one mask image an instance (its id is the number that its
    name ends with, else its place in the order of names; its alpha channel is the mask if it has one that varies); or
    COCO JSON (`read_coco`).
    size_px: (width, height) that the masks must have. image_name: whose annotations, in a JSON of several images.
    Raises UsageError or PipelineError.
    """
    if path.is_dir():
        return _from_folder(path, size_px)
    if path.suffix.lower() == ".json":
        return LazyMasks(read_coco(path, size_px, image_name).makers)
    return IdImage(_ids_of(path, size_px))


def _ids_of(path: Path, size_px: tuple[int, int]) -> np.ndarray:
    image = _opened(path, size_px)
    if image.mode in ("LA", "RGBA"):
        seen_HW = np.asarray(image.getchannel("A"))[..., None] > 0  # below, programs leave any colour
        image = Image.fromarray(np.asarray(image) * seen_HW)
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
    return np.maximum(np.asarray(image.getchannel("L") if image.mode == "LA" else image).astype(np.int64), 0)


def _from_folder(path: Path, size_px: tuple[int, int]) -> LazyMasks:
    files = sorted(
        file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith(".")
    )  # macOS lays ._1.png beside 1.png
    if not files:
        raise UsageError(f"{path} holds no mask images ({', '.join(IMAGE_SUFFIXES)})")
    return LazyMasks({i: _reader(file, size_px) for i, file in zip(_numbers(files, path), files, strict=True)})


def _numbers(files: Sequence[Path], folder: Path) -> list[int]:
    """Of mask_2.png and mask_10.png 2 and 10; of names without numbers, or with the same, their places."""
    ends = [re.search(r"\d+$", file.stem, re.ASCII) for file in files]
    ids = [int(end.group()) for end in ends if end]
    if all(file.stem.isdigit() for file in files) and len(set(ids)) < len(ids):
        raise UsageError(f"several masks in {folder} have the same number; give each file another")
    return ids if len(set(ids)) == len(files) else list(range(1, len(files) + 1))


def _reader(file: Path, size_px: tuple[int, int]) -> Callable[[], np.ndarray]:
    def read() -> np.ndarray:
        image = _opened(file, size_px)
        if "A" in image.getbands() and len(set(image.getchannel("A").getextrema())) > 1:
            image = image.getchannel("A")  # of an object that was cut out, or of a mask that is white everywhere
        elif image.mode in ("LA", "RGBA", "RGB"):
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
