"""Masks as segmenters and annotation programs write them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from tests.real_files.picture_case import HEIGHT, IDS, OBJECTS, WIDTH, FileCase, Refused

VOC_PALETTE = [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0, 0, 0, 128] + [0] * 753
BOTH = OBJECTS[7] | OBJECTS[9]


def _image(pixels: np.ndarray, name: str = "masks.png", **how) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        Image.fromarray(pixels).save(folder / name, **how)
        return folder / name

    return write


def _folder(**files: np.ndarray) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        for name, pixels in files.items():
            Image.fromarray(pixels).save(folder / f"{name}.png")
        return folder

    return write


def _palette(folder: Path) -> Path:
    image = Image.fromarray(np.searchsorted([0, 7, 9], IDS).astype(np.uint8), "P")
    image.putpalette(VOC_PALETTE)
    image.save(folder / "masks.png")
    return folder / "masks.png"


def _big_endian(folder: Path) -> Path:
    Image.frombytes("I;16B", (WIDTH, HEIGHT), IDS.astype(">u2").tobytes()).save(folder / "masks.tif")
    return folder / "masks.tif"


def _with_copies_of_macos(folder: Path) -> Path:
    for i, mask in OBJECTS.items():
        Image.fromarray(_white(mask)).save(folder / f"{i}.PNG", "PNG")
        (folder / f"._{i}.PNG").write_bytes(b"\0\5\x16\7")
    (folder / ".DS_Store").write_bytes(b"\0")
    return folder


def _made_from_jpeg(folder: Path) -> Path:
    """Somebody's JPEG, saved again without losses: the losses stay."""
    path = _image(_coloured_discs(), "masks.jpg", quality=85)(folder)
    Image.open(path).save(folder / "masks.png")
    return folder / "masks.png"


def _interpolated(folder: Path) -> Path:
    small = Image.fromarray(_discs()[::2, ::2])
    small.resize((2 * small.width, 2 * small.height), Image.Resampling.BILINEAR).save(folder / "masks.png")
    return folder / "masks.png"


def _white(mask: np.ndarray) -> np.ndarray:
    return (255 * mask).astype(np.uint8)


def _cut_out(mask: np.ndarray, rest: int) -> np.ndarray:
    """Colours of an object, and what programs leave below transparent pixels."""
    rgb = np.where(mask[..., None], (140, 90, 200), rest)
    return np.dstack([rgb, 255 * mask]).astype(np.uint8)


def _discs() -> np.ndarray:
    """(H, W) uint8 of four round things with ids far apart, large enough for outlines."""
    rows, columns = np.mgrid[:128, :192] + 0.5
    ids = np.zeros(rows.shape, np.uint8)
    for i, (row, column, radius) in {
        40: (40, 40, 28),
        90: (80, 110, 35),
        160: (35, 150, 22),
        230: (100, 30, 18),
    }.items():
        ids[np.hypot(rows - row, columns - column) < radius] = i
    return ids


def _coloured_discs() -> np.ndarray:
    colours = {0: (0, 0, 0), 40: (220, 40, 40), 90: (40, 200, 60), 160: (60, 80, 230), 230: (230, 210, 40)}
    table = np.zeros((256, 3), np.uint8)
    for i, colour in colours.items():
        table[i] = colour
    return table[_discs()]


MASKS = [
    FileCase("ids of 16 bit", "ScanNet's instance-filt", _image(IDS), OBJECTS),
    FileCase("palette", "indices of a palette, as of PASCAL VOC", _palette, {1: OBJECTS[7], 2: OBJECTS[9]}),
    FileCase(
        "cityscapes",
        "instance ids of class * 1000",
        _image(np.where(IDS > 0, 26000 + IDS, 0).astype(np.uint16)),
        {26007: OBJECTS[7], 26009: OBJECTS[9]},
    ),
    FileCase("big-endian tiff", "16 bits of a Mac program", _big_endian, OBJECTS),
    FileCase(
        "minus one",
        "labelme 381: -1 is no object",
        _image(np.where(IDS > 0, IDS, -1).astype(np.int32), "masks.tif"),
        OBJECTS,
    ),
    FileCase(
        "alpha of a cut-out",
        "SAM 3D Objects 127: the mask is the alpha channel of a cut-out",
        lambda folder: _folder(**{f"{i}": _cut_out(mask, 255) for i, mask in OBJECTS.items()})(folder),
        OBJECTS,
    ),
    FileCase(
        "white with alpha",
        "a mask that is white, its shape in the alpha channel",
        _image(np.dstack([np.full((HEIGHT, WIDTH, 3), 255), _white(BOTH)]).astype(np.uint8)),
        {1: BOTH},
    ),
    FileCase(
        "numbers in names",
        "mask_2 and mask_10: in the order of names 10 comes first",
        _folder(mask_10=_white(OBJECTS[7]), mask_2=_white(OBJECTS[9])),
        {10: OBJECTS[7], 2: OBJECTS[9]},
    ),
    FileCase(
        "0.png of 0 and 1",
        "Segment Anything 81: amg.py counts from 0; DisCo 21: values of 1 look black",
        _folder(**{"0": OBJECTS[7].astype(np.uint8), "1": _white(OBJECTS[9])}),
        {0: OBJECTS[7], 1: OBJECTS[9]},
    ),
    FileCase("copies of macos", "._7.PNG beside 7.PNG", _with_copies_of_macos, OBJECTS),
    FileCase(
        "twice as large",
        "a segmenter's mask, an exact multiple",
        _image(IDS.repeat(2, 0).repeat(2, 1)),
        OBJECTS,
    ),
    FileCase("half as large", "every second pixel", _image(IDS[::2, ::2]), OBJECTS),
    FileCase("another shape", "a mask of the square that a network saw", _image(IDS[:, :32]), Refused("32x32.*48x32")),
    FileCase("turned", "Label Studio 6608: EXIF was not heeded", _image(np.rot90(IDS)), Refused("turned.*EXIF")),
]

BY_FORMAT, BY_LOOKS = Refused("stored as JPEG.*as PNG"), Refused("mixtures.*JPEG and scaling.*as PNG")
LOSSY = [
    FileCase("jpeg of colours", "masks saved as JPEG", _image(_coloured_discs(), "masks.jpg", quality=85), BY_FORMAT),
    FileCase("jpeg of ids", "grey ids saved as JPEG", _image(_discs(), "masks.jpg", quality=85), BY_FORMAT),
    FileCase("png of a jpeg", "saved without losses when they had happened", _made_from_jpeg, BY_LOOKS),
    FileCase("interpolated", "an id image scaled with interpolation", _interpolated, BY_LOOKS),
]
LOSSY_SIZE_PX = (192, 128)
