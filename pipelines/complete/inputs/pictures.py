"""Picture files: decoded, or refused with a reason; their colours as sRGB, as the networks expect.

Shapes: H W image.
"""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps

from pipelines.errors import PipelineError

UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)
"""What Pillow raises for files that are damaged, of another kind, or too large."""
GREY_16 = ("I;16", "I;16B", "I;16L", "I;16N")
EXIF_IFD, FOCAL_LENGTH_35MM = 0x8769, 0xA405
DIAGONAL_35MM = math.hypot(36, 24)
HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"mif1", b"msf1")


def open_picture(path: Path, what: str) -> Image.Image:
    """Decoded as it is stored; the first frame of an animation. what: its purpose in messages, as "an image".

    Raises PipelineError.
    """
    try:
        with Image.open(path) as image:
            image.load()
            return image
    except Image.DecompressionBombError as error:
        raise PipelineError(f"{path} has more pixels than {what} may have; scale it down: {error}") from error
    except UNREADABLE as error:
        raise PipelineError(f"{path} cannot be read as {what}: {_why(path, error)}") from error


def read_image(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 sRGB, rotated as its EXIF orientation says; transparent pixels become black.

    Colours with another profile (Display P3, Adobe RGB, CMYK) are converted. Of 16 bits the upper eight are used.
    Raises PipelineError.
    """
    stored = open_picture(path, "an image")
    if stored.mode in ("I", "F"):
        raise PipelineError(
            f"{path} has 32 bits a pixel, of which nothing says how bright they are; store it with 8 or 16 bits"
        )
    try:
        image = ImageOps.exif_transpose(_of_8_bits(stored))
        if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
            rgba = image.convert("RGBA")
            seen = Image.alpha_composite(Image.new("RGBA", image.size, "black"), rgba).convert("RGB")
        else:
            seen = image if image.mode == "CMYK" else image.convert("RGB")
        return np.array(_as_srgb(seen, image.info.get("icc_profile")))
    except UNREADABLE as error:
        raise PipelineError(f"{path} cannot be read as an image: {error}") from error


def fov_x_of_exif(path: Path) -> float | None:
    """Horizontal field of view in degrees, from the 35 mm equivalent focal length in EXIF; None without one.

    It is that of the whole picture. One that was cropped afterwards shows less.
    """
    image = open_picture(path, "an image")
    focal_mm = image.getexif().get_ifd(EXIF_IFD).get(FOCAL_LENGTH_35MM)
    if not isinstance(focal_mm, int) or focal_mm <= 0:
        return None
    width, height = ImageOps.exif_transpose(image).size
    focal_px = focal_mm / DIAGONAL_35MM * math.hypot(width, height)
    return math.degrees(2 * math.atan(width / 2 / focal_px))


def _of_8_bits(image: Image.Image) -> Image.Image:
    """Pillow's own conversion of 16 bits clips at 255, so that everything would be white."""
    if image.mode not in GREY_16:
        return image
    grey = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    grey.info = image.info
    return grey


def _as_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """RGB, converted by the embedded profile; taken as sRGB if there is none, or a broken one."""
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            target = ImageCms.createProfile("sRGB")
            return ImageCms.profileToProfile(image, source, target, outputMode="RGB") or image.convert("RGB")
        except (ImageCms.PyCMSError, *UNREADABLE):
            pass  # a grey profile in a coloured file, or no valid profile: viewers ignore these too
    return image.convert("RGB")


def _why(path: Path, error: Exception) -> str:
    """The reason for people. Pillow's own message for unknown kinds of files does not help."""
    if isinstance(error, Image.UnidentifiedImageError):
        with path.open("rb") as file:
            head = file.read(12)
        if head[4:8] == b"ftyp" and head[8:12] in HEIF_BRANDS:
            return "it is HEIC, as iPhones take it, whatever it is called; export it as JPEG or PNG"
        return "it is no picture of a kind that is known; PNG, JPEG, TIFF, WebP, AVIF and BMP are"
    return f"{error}; copy it again, a part is missing" if "truncated" in str(error) else str(error)
