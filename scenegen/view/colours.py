"""Depth, ids, normals and errors as images for people."""

import colorsys

import numpy as np

# Near is warm and bright, far is cool and dark: five anchors from near to far, linear between them.
_DEPTH_ANCHORS = np.array([[255, 236, 170], [250, 160, 80], [196, 78, 96], [88, 58, 130], [18, 26, 66]], float)
_GOLDEN_RATIO = 0.6180339887498949
_RIGHT, _TOO_FAR, _TOO_NEAR = (np.array(c, float) for c in ([70, 72, 78], [255, 150, 60], [80, 150, 255]))
_FIXED_ID_COLOURS = {0: (12, 12, 16), 1: (92, 92, 96), 2: (140, 140, 146)}


def depth_span(depth_m: np.ndarray) -> tuple[float, float]:
    """(near, far) in metres for the colour scale: the 1st and 99th percentile; (0, 1) if nothing is valid."""
    valid = np.isfinite(depth_m)
    if not valid.any():
        return 0.0, 1.0
    near, far = np.percentile(depth_m[valid], [1, 99])
    return float(near), float(far)


def depth_picture(depth_m: np.ndarray, span: tuple[float, float] | None = None) -> np.ndarray:
    """(H, W) metres, NaN invalid, to (H, W, 3) uint8; invalid is black. span: (near, far), by default its own."""
    valid = np.isfinite(depth_m)
    near, far = span or depth_span(depth_m)
    position = np.clip((np.nan_to_num(depth_m) - near) / max(far - near, 1e-6), 0, 1) * (len(_DEPTH_ANCHORS) - 1)
    channels = [np.interp(position, range(len(_DEPTH_ANCHORS)), anchor) for anchor in _DEPTH_ANCHORS.T]
    picture = np.stack(channels, axis=-1)
    picture[~valid] = 0
    return picture.astype(np.uint8)


def error_picture(depth_m: np.ndarray, truth_m: np.ndarray, worst: float = 0.25) -> np.ndarray:
    """(H, W, 3) uint8: grey where right, orange where too far, blue where too near, saturated at a relative error
    `worst`.

    Black where either depth has no value.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.clip((depth_m - truth_m) / truth_m / worst, -1, 1)
    share = np.nan_to_num(np.abs(error))[..., None]
    colour = np.where(np.nan_to_num(error)[..., None] > 0, _TOO_FAR, _TOO_NEAR)
    picture = (1 - share) * _RIGHT + share * colour
    picture[~np.isfinite(error)] = 0
    return picture.astype(np.uint8)


def id_colour(instance_id: int) -> tuple[int, int, int]:
    """The colour of an instance in every picture: greys for background, floor and walls, far-apart hues for objects."""
    if instance_id in _FIXED_ID_COLOURS:
        return _FIXED_ID_COLOURS[instance_id]
    hue = (instance_id * _GOLDEN_RATIO) % 1.0
    value = (1.0, 0.85, 0.7)[instance_id % 3]
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.62, value)
    return int(red * 255), int(green * 255), int(blue * 255)


def id_picture(instance_id: np.ndarray) -> np.ndarray:
    """(H, W) ids to (H, W, 3) uint8."""
    ids, inverse = np.unique(instance_id, return_inverse=True)
    palette = np.array([id_colour(int(i)) for i in ids], np.uint8)
    return palette[inverse.reshape(instance_id.shape)]


def normal_picture(normal_cam: np.ndarray) -> np.ndarray:
    """(H, W, 3) camera normals (OpenCV axes) as the usual colours: red right, green up, blue towards the camera."""
    shown = (np.nan_to_num(normal_cam, nan=0.0) * [1, -1, -1] + 1) / 2
    shown[np.isnan(normal_cam).any(axis=-1)] = 0
    return (np.clip(shown, 0, 1) * 255).astype(np.uint8)
