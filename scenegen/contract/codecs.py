"""Encodes images as bytes and decodes them; ids and colours without any loss.

RGB: lossless WebP. Depth, ids and normals: 16-bit planes, each row stored as differences to the pixel on its left
(smooth surfaces become small numbers), low and high bytes separately, then zstd. Ten lines of code read them in any
language, and they decode several times faster than 16-bit PNG (tests/benchmarks/codecs.py).
"""

import importlib.util
import io
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from PIL import Image

INVALID_DEPTH_CODE = 0
_MAX_DEPTH_CODE = 65535
_NORMAL_STEPS = 8191  # the octahedral square [-1, 1]^2 on 1..16383 (finer steps only store noise); 0 marks invalid
_ZSTD = pa.Codec("zstd", compression_level=3)
_ONE = np.float32(1)
_HAS_WEBP = importlib.util.find_spec("webp") is not None
_PIXELS_AT_ONCE = 1 << 15  # decoded together, so that what is temporary takes no memory but the cache


def encode_rgb(rgb: np.ndarray) -> bytes:
    """(H, W, 3) uint8 to lossless WebP."""
    sink = io.BytesIO()
    Image.fromarray(rgb).save(sink, "WEBP", lossless=True, quality=20, method=1)
    return sink.getvalue()


def decode_rgb(blob: bytes) -> np.ndarray:
    """WebP (or any still image) to (H, W, 3) uint8."""
    return _decoded(blob, "RGB")


def encode_rgba(rgba: np.ndarray) -> bytes:
    """(H, W, 4) uint8 with straight alpha to lossless WebP. Pixels with alpha 0 become black."""
    shown = np.where(rgba[..., 3:] > 0, rgba, 0).astype(np.uint8)
    sink = io.BytesIO()
    Image.fromarray(shown).save(sink, "WEBP", lossless=True, quality=20, method=1, exact=True)
    return sink.getvalue()


def decode_rgba(blob: bytes) -> np.ndarray:
    """WebP to (H, W, 4) uint8, straight alpha."""
    return _decoded(blob, "RGBA")


def encode_thumbnail(rgb: np.ndarray, longest_px: int = 160) -> bytes:
    """(H, W, 3) uint8 to a small JPEG for dataset viewers, not for training."""
    image = Image.fromarray(rgb)
    image.thumbnail((longest_px, longest_px), Image.Resampling.BOX)
    sink = io.BytesIO()
    image.save(sink, "JPEG", quality=80)
    return sink.getvalue()


def encode_planes(planes: np.ndarray) -> bytes:
    """(H, W) or (H, W, C) uint16 to bytes."""
    channels_first = planes[None] if planes.ndim == 2 else planes.transpose(2, 0, 1)
    difference = np.array(channels_first, order="C")
    difference[..., 1:] -= channels_first[..., :-1]
    low_high = difference.view(np.uint8).reshape(-1, 2).T
    return _ZSTD.compress(np.ascontiguousarray(low_high), asbytes=True)


def decode_planes(blob: bytes, height: int, width: int, channels: int = 1) -> np.ndarray:
    """The inverse of `encode_planes`: (H, W) uint16, or (H, W, C) when channels > 1.

    Raises ValueError if the blob is not of this size.
    """
    count = height * width * channels
    raw = np.frombuffer(_ZSTD.decompress(blob, decompressed_size=2 * count), np.uint8)
    if raw.size != 2 * count:
        raise ValueError(f"a plane blob holds {raw.size} bytes instead of {2 * count}")
    low, high = raw.reshape(2, channels * height, width)
    planes = np.empty(low.shape, np.uint16)
    for part in _parts(*low.shape):
        difference = high[part].astype(np.uint16)
        difference <<= 8
        difference |= low[part]
        np.cumsum(difference, axis=-1, dtype=np.uint16, out=planes[part])
    return planes if channels == 1 else planes.reshape(channels, height, width).transpose(1, 2, 0)


def looked_up(table: np.ndarray, code: np.ndarray) -> np.ndarray:
    """(H, W) values of codes (H, W), for which the table must be long enough: table[code]."""
    values = np.empty(code.shape, table.dtype)
    for part in _parts(*code.shape):
        table.take(code[part], out=values[part], mode="clip")  # the other mode writes to a buffer first
    return values


def encode_depth(depth_m: np.ndarray) -> tuple[bytes, float, float]:
    """(H, W) float metres, NaN invalid, to (blob, offset_m, step_m).

    depth = offset_m + code * step_m; code 0 is invalid. The step is the view's depth range / 65534, so the error
    is at most half of it: 0.12 mm for a range of 16 m.
    Raises ValueError for a depth that is not positive or not finite.
    """
    valid = ~np.isnan(depth_m)
    if not valid.any():
        return encode_planes(np.zeros(depth_m.shape, np.uint16)), 0.0, 0.0
    near, far = float(depth_m[valid].min()), float(depth_m[valid].max())
    if not (np.isfinite(far) and near > 0):
        raise ValueError(f"depth spans {near} to {far} m; planar depth must be positive and finite, NaN where invalid")
    step = max(far - near, 1e-6) / (_MAX_DEPTH_CODE - 1)
    offset = near - step
    code = np.zeros(depth_m.shape, np.uint16)
    code[valid] = np.rint((depth_m[valid].astype(np.float64) - offset) / step)
    return encode_planes(code), offset, step


def decode_depth(blob: bytes, offset_m: float, step_m: float, height: int, width: int) -> np.ndarray:
    """(H, W) float32 metres, NaN where invalid."""
    code = decode_planes(blob, height, width)
    depth_m = np.empty(code.shape, np.float32)
    for part in _parts(height, width):
        depth = np.multiply(code[part], np.float32(step_m), out=depth_m[part], dtype=np.float32)
        depth += np.float32(offset_m)
        np.copyto(depth, np.nan, where=code[part] == INVALID_DEPTH_CODE)
    return depth_m


def encode_normals(normal: np.ndarray) -> bytes:
    """(H, W, 3) unit vectors, NaN invalid, as two octahedral coordinates (error below 0.02 degrees)."""
    invalid = np.isnan(normal).any(axis=-1)
    n = np.where(invalid[..., None], 0.0, normal).astype(np.float32)
    n[invalid, 2] = 1.0
    n /= np.abs(n).sum(axis=-1, keepdims=True)
    square = n[..., :2].copy()
    behind = n[..., 2] < 0
    square[behind] = _fold(n[behind][:, :2])
    code = (np.rint(square * _NORMAL_STEPS) + _NORMAL_STEPS + 1).astype(np.uint16)
    code[invalid] = 0
    return encode_planes(code)


def decode_normals(blob: bytes, height: int, width: int) -> np.ndarray:
    """(H, W, 3) float32 unit vectors, NaN where invalid."""
    return normals_of_codes(decode_planes(blob, height, width, channels=2))


def normals_of_codes(code: np.ndarray) -> np.ndarray:
    """(H, W, 2) uint16 octahedral codes, 0 invalid, to (H, W, 3) float32 unit vectors."""
    height, width = code.shape[:2]
    normal = np.empty((height, width, 3), np.float32)
    for part in _parts(height, width):
        u_code, v_code = code[part, :, 0], code[part, :, 1]
        u, v = ((plane - np.float32(_NORMAL_STEPS + 1)) / np.float32(_NORMAL_STEPS) for plane in (u_code, v_code))
        from_u, from_v = 1 - np.abs(u), 1 - np.abs(v)
        z = 1 - (np.abs(u) + np.abs(v))
        behind = z < 0  # on a lower face of the octahedron, which is folded outwards
        x = np.where(behind, from_v * np.copysign(_ONE, u), u)
        y = np.where(behind, from_u * np.copysign(_ONE, v), v)
        length = np.sqrt(x * x + y * y + z * z)
        length[(u_code | v_code) == 0] = np.nan
        for axis, coordinate in enumerate((x, y, z)):
            np.divide(coordinate, length, out=normal[part, :, axis])
    return normal


def _decoded(blob: bytes, mode: str) -> np.ndarray:
    """(H, W, C) uint8. Raises ValueError or OSError for what is no image.

    Where the package webp is installed (the extra "train"), it decodes: Pillow takes every WebP for an animation, which
    takes it two to three times as long.
    """
    if not _HAS_WEBP or blob[8:12] != b"WEBP":
        return np.asarray(Image.open(io.BytesIO(blob)).convert(mode))
    import webp

    try:
        return webp.WebPData.from_buffer(blob).decode(webp.WebPColorMode[mode])
    except webp.WebPError as error:
        raise ValueError(f"a WebP image of {len(blob)} bytes cannot be decoded: {error}") from error


def _parts(height: int, width: int) -> Iterator[slice]:
    """Rows of an image that are decoded together."""
    rows = max(1, _PIXELS_AT_ONCE // max(width, 1))
    return (slice(start, start + rows) for start in range(0, height, rows))


def _fold(square: np.ndarray) -> np.ndarray:
    """Octahedral fold between the upper faces and the lower ones; its own inverse. (N, 2) to (N, 2)."""
    return (1.0 - np.abs(square[:, ::-1])) * np.where(square >= 0, 1.0, -1.0)
