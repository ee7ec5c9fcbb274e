"""Pictures as cameras, phones and programs write them."""

import io
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

from tests.real_files.picture_case import IDS, RGB, FileCase, Refused, png

ORIENTATION = 0x0112
# How a picture is stored whose orientation says how to turn it back (EXIF 2.3, tag 274).
STORED: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: np.rot90(p),
    7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
    8: lambda p: np.rot90(p, -1),
}
JPEG = {"quality": 98, "subsampling": 0}
GREY = np.broadcast_to(RGB.mean(-1, keepdims=True).round().astype(np.uint8), RGB.shape)
# Primaries of Display P3 seen under D50, as profiles store them, and its linear RGB to that of sRGB (both D65).
P3_XYZ = {
    b"rXYZ": (0.51512, 0.2412, -0.00105),
    b"gXYZ": (0.29198, 0.69225, 0.04189),
    b"bXYZ": (0.1571, 0.06657, 0.78407),
}
SRGB_FROM_P3 = np.array([[1.2249, -0.2247, 0], [-0.042, 1.0419, 0], [-0.0197, -0.0786, 1.0979]])


def _saved(name: str, image: Image.Image, **how) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        image.save(folder / name, **how)
        return folder / name

    return write


def _turned(orientation: int, name: str = "photo.jpg") -> Callable[[Path], Path]:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    how = JPEG if name.endswith("jpg") else {}
    return _saved(name, Image.fromarray(np.ascontiguousarray(STORED[orientation](RGB))), exif=exif, **how)


def _bytes(name: str, content: bytes) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return write


def _jpeg() -> bytes:
    file = io.BytesIO()
    Image.fromarray(RGB).save(file, "JPEG", **JPEG)
    return file.getvalue()


def _p3_profile() -> bytes:
    """The profile of sRGB with other primaries: Display P3 has the same curve."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for entry in range(struct.unpack_from(">I", profile, 128)[0]):
        tag, offset, _ = struct.unpack_from(">4sII", profile, 132 + 12 * entry)
        if tag in P3_XYZ:
            struct.pack_into(">3i", profile, offset + 8, *(round(65536 * value) for value in P3_XYZ[tag]))
    return bytes(profile)


def _from_p3(rgb: np.ndarray) -> np.ndarray:
    value = rgb / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4) @ SRGB_FROM_P3.T
    linear = linear.clip(0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def _with_alpha() -> tuple[Image.Image, np.ndarray]:
    """Cut out, with white left below what is transparent, and what must come out: black there."""
    seen = IDS > 0
    rgba = np.dstack([np.where(seen[..., None], RGB, 255), 255 * seen]).astype(np.uint8)
    return Image.fromarray(rgba), np.where(seen[..., None], RGB, 0)


PHOTO = Image.fromarray(RGB)
OTHER = Image.new("RGB", PHOTO.size, "white")
CUT_OUT, ON_BLACK = _with_alpha()

PICTURES = [
    *(FileCase(f"exif {i}", "EXIF orientation of a phone's JPEG", _turned(i), RGB, 12) for i in STORED),
    FileCase("exif tiff", "the same in a TIFF", _turned(6, "photo.tif"), RGB),
    FileCase("exif png", "the same in a PNG", _turned(8, "photo.png"), RGB),
    FileCase("cmyk", "CMYK JPEG of a print shop", _saved("photo.jpg", PHOTO.convert("CMYK"), **JPEG), RGB, 12),
    FileCase("grey", "grey JPEG", _saved("photo.jpg", Image.fromarray(GREY[..., 0]), **JPEG), GREY, 12),
    FileCase(
        "grey 16 bit png",
        "Pillow 2574: 16-bit grey becomes white",
        lambda folder: png(folder / "photo.png", GREY[..., 0].astype(np.uint16) * 257),
        GREY,
    ),
    FileCase(
        "grey 16 bit tiff",
        "Pillow 1108: the same of a TIFF",
        _saved("photo.tif", Image.fromarray(GREY[..., 0].astype(np.uint16) * 257)),
        GREY,
    ),
    FileCase(
        "rgb 16 bit png",
        "16-bit RGB of a renderer",
        lambda folder: png(folder / "photo.png", RGB.astype(np.uint16) * 257),
        RGB,
    ),
    FileCase(
        "float tiff",
        "Pillow 3159: 32-bit grey is cut off at 1 or 255",
        _saved("photo.tif", Image.fromarray(np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8))),
        Refused("32 bits a pixel.*8 or 16"),
    ),
    FileCase(
        "display p3",
        "PhotoPrism 1798: colours of iPhones are pale",
        _saved("photo.png", PHOTO, icc_profile=_p3_profile()),
        _from_p3(RGB),
        2,
    ),
    FileCase("broken profile", "a profile that is none", _saved("photo.png", PHOTO, icc_profile=b"broken"), RGB),
    FileCase("transparent", "TRELLIS 63: a cut-out with an alpha channel", _saved("a.png", CUT_OUT), ON_BLACK),
    FileCase("transparent webp", "the same as WebP", _saved("a.webp", CUT_OUT, lossless=True, exact=True), ON_BLACK),
    FileCase(
        "film", "animated PNG: its first picture", _saved("a.png", PHOTO, save_all=True, append_images=[OTHER]), RGB
    ),
    FileCase(
        "two in one", "MPO of a phone", _saved("a.mpo", PHOTO, save_all=True, append_images=[OTHER], **JPEG), RGB, 12
    ),
    FileCase("avif", "AVIF of the web", _saved("photo.avif", PHOTO, quality=100, subsampling="4:4:4"), RGB, 12),
    FileCase("upper case", "PHOTO 1.JPG", _bytes("Küche, PHOTO 1.JPG", _jpeg()), RGB, 12),
    FileCase("wrong suffix", "a JPEG that is called PNG", _bytes("photo.png", _jpeg()), RGB, 12),
    FileCase(
        "heic",
        "Pillow 2806: HEIC of an iPhone, called .jpg",
        _bytes("IMG_0001.jpg", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64)),
        Refused("HEIC.*JPEG or PNG"),
    ),
    FileCase(
        "half a jpeg", "labelme 335: a broken copy", _bytes("a.jpg", _jpeg()[:-300]), Refused("truncated.*copy it")
    ),
    FileCase(
        "180 megapixels",
        "a panorama beyond Pillow's limit",
        lambda folder: png(folder / "a.png", GREY[..., 0], said_px=(30000, 6000)),
        Refused("more pixels.*scale it down"),
    ),
]
