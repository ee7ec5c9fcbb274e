"""Instance masks from files: an id image, a folder of masks, COCO JSON.

Shapes: H W image.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from pipelines.complete.inputs.mask_files.coco import coco_masks
from pipelines.complete.inputs.mask_files.lossy_ids import is_mixed, soft_mask
from pipelines.complete.inputs.mask_files.picture import MaskPicture
from pipelines.complete.inputs.resize import note_on_sizes, resized
from pipelines.complete.instance_masks import IdImage, LazyMasks
from pipelines.errors import UsageError

IMAGE_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".webp", ".jpg", ".jpeg")
MAX_COLOURS = 4096  # of an image of masks
WHITE_ID = 255
SAVE_IDS = "save the masks as PNG where they are made, and scale them by nearest pixels if at all"
SAVE_COLOURS = f"{SAVE_IDS}, with one colour an instance and no antialiasing"


@dataclass(frozen=True)
class MaskFile:
    """by_id: masks by instance id. assumed: what was assumed about the file, sentences for the user."""

    by_id: Mapping[int, np.ndarray]
    assumed: tuple[str, ...] = ()


def read_masks(path: Path, size_px: tuple[int, int], image_name: str = "") -> MaskFile:
    """Masks by instance id, of the image's size.

    path: one of
        an image of ids (8 or 16 bits, or a palette; none below 0);
        an image of colours (ids in the order of the colours' RGB values; black is no instance);
        a folder with one mask image per instance (its id is the number at the end of its name, else its place);
        COCO JSON (`coco_masks`).
    size_px: (width, height) of the image. Masks of the same aspect ratio are resized to it by nearest pixels.
    image_name: whose annotations to take from a JSON of several images.

    Ids that were stored with lossy compression or scaled with interpolation are refused. A single black and white mask
    survives both. Raises UsageError or PipelineError.
    """
    if path.is_dir():
        return _from_folder(path, size_px)
    if path.suffix.lower() == ".json":
        coco = coco_masks(path, size_px, image_name)
        return MaskFile(LazyMasks(coco.makers), (*coco.assumed, *note_on_sizes(path, coco.sizes_px, size_px)))
    return _from_image(path, size_px)


def _from_image(path: Path, size_px: tuple[int, int]) -> MaskFile:
    picture = MaskPicture.read(path)
    ids_HW, assumed = _honest_ids(path, picture)
    said = note_on_sizes(path, {picture.image.size}, size_px)
    return MaskFile(IdImage(resized(ids_HW, size_px, path)), (*assumed, *said))


def _honest_ids(path: Path, picture: MaskPicture) -> tuple[np.ndarray, tuple[str, ...]]:
    """(H, W) ids, and what was assumed. Raises UsageError for ids that were changed by lossy compression."""
    planes_CHW, colours = picture.planes_CHW, picture.is_coloured
    if not picture.lossy:
        ids_HW = _ids_of_colours(path, planes_CHW) if colours else np.maximum(planes_CHW[0].astype(np.int64), 0)
        if not any(is_mixed(planes) for planes in (planes_CHW, picture.palette_CHW) if planes is not None):
            return ids_HW, ()
    mask_HW = soft_mask(picture.grey_HW)
    if mask_HW is not None:
        return mask_HW * (1 if colours else WHITE_ID), (f"{path} is one mask with grey outlines: white is from 128 on",)
    remedy = SAVE_COLOURS if colours else SAVE_IDS
    if picture.lossy:
        raise UsageError(f"{path} is stored as {picture.lossy}, which changes the ids along every outline; {remedy}")
    raise UsageError(
        f"{path} has ids along its outlines that are mixtures of those beside them, as JPEG and scaling with "
        f"interpolation leave them; {remedy}"
    )


def _ids_of_colours(path: Path, planes_CHW: np.ndarray) -> np.ndarray:
    r, g, b = planes_CHW.astype(np.int64)
    colours, ids_P = np.unique((r << 16) | (g << 8) | b, return_inverse=True)
    if len(colours) > MAX_COLOURS:
        raise UsageError(
            f"{path} has {len(colours)} colours, so it is a picture, or was stored with losses; {SAVE_COLOURS}"
        )
    first = 0 if colours[0] == 0 else 1  # black has id 0, whether it occurs or not
    return ids_P.reshape(r.shape) + first


def _from_folder(path: Path, size_px: tuple[int, int]) -> MaskFile:
    files = sorted(
        file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith(".")
    )  # macOS puts ._1.png beside 1.png
    if not files:
        raise UsageError(f"{path} holds no mask images ({', '.join(IMAGE_SUFFIXES)})")
    makers: dict[int, Callable[[], np.ndarray]] = {}
    sizes_px: set[tuple[int, int]] = set()
    lossy = 0
    for i, file in zip(_numbers(files, path), files, strict=True):  # all now, so that errors come before the work
        picture = MaskPicture.read(file)
        sizes_px.add(picture.image.size)
        lossy += bool(picture.lossy)
        makers[i] = partial(_unpacked, np.packbits(resized(_one_mask(file, picture), size_px, file)), size_px)
    assumed = [f"{path} has {lossy} masks that are stored with losses: white is from 128 on"] if lossy else []
    return MaskFile(LazyMasks(makers), (*assumed, *note_on_sizes(path, sizes_px, size_px)))


def _numbers(files: Sequence[Path], folder: Path) -> list[int]:
    """2 and 10 for mask_2.png and mask_10.png; their places for names without numbers, or with equal ones."""
    ends = [re.search(r"\d+$", file.stem, re.ASCII) for file in files]
    ids = [int(end.group()) for end in ends if end]
    if all(file.stem.isdigit() for file in files) and len(set(ids)) < len(ids):
        raise UsageError(f"several masks in {folder} have the same number; give each file another")
    return ids if len(set(ids)) == len(files) else list(range(1, len(files) + 1))


def _one_mask(file: Path, picture: MaskPicture) -> np.ndarray:
    """(H, W) bool: what is opaque, if the picture has transparent parts; else the lighter half of its values."""
    if picture.cut_out_HW is not None:
        return picture.cut_out_HW
    if not picture.lossy:
        values_HW = picture.grey_HW if picture.is_coloured else picture.planes_CHW[0]
        return values_HW > values_HW.max(initial=0) // 2
    mask_HW = soft_mask(picture.grey_HW)
    if mask_HW is None:
        raise UsageError(
            f"{file} is stored as {picture.lossy} and is no mask of black and white; {SAVE_IDS}, one mask a file"
        )
    return mask_HW


def _unpacked(bits: np.ndarray, size_px: tuple[int, int]) -> np.ndarray:
    """Masks are kept in bits, an eighth of the memory: 100 masks of a large image would fill it."""
    width, height = size_px
    return np.unpackbits(bits, count=width * height).reshape(height, width).astype(bool)
