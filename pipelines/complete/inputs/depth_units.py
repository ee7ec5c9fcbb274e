"""The unit of a depth file: given by the user, or decided from the values where these are clear.

Shapes: H W image, K known pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pipelines.errors import UsageError

UNITS_M = {
    "m": 1.0,
    "cm": 1e-2,
    "mm": 1e-3,
    "scannet": 1e-3,  # also 7-Scenes, Redwood, most sensors
    "tum": 1 / 5000,  # also ICL-NUIM
    "kitti": 1 / 256,
    "sunrgbd": 1 / 8000,  # its bits are rotated by three places
}
UNITS = f"{', '.join(UNITS_M)}, or metres a unit"

NEAREST_M, FARTHEST_M = 0.01, 1000.0  # between these the median of a depth map is plausible
SURELY_M, SURELY_MM = 100.0, 1000.0  # fractions with a median up to the first are metres, from the second millimetres
FAR = 1e9  # renderers write 1e10 for the background
SATURATED = 65535
LARGEST_HALF = 65504
MANY = 16  # a depth map of a real scene has more distinct values than this
GRIDS = {5: "tum", 8: "sunrgbd"}  # all values of these files are multiples of this


class UnknownUnit(UsageError):
    """The unit cannot be decided, or the given one is implausible. The caller adds how a unit is given."""


@dataclass(frozen=True)
class Unit:
    """metres: of a value of 1. assumed: what was assumed, a sentence; empty if the user gave the unit."""

    metres: float
    assumed: str = ""


def parse_unit(text: str) -> float:
    """Metres per unit, from a name or a number. Raises UsageError."""
    if text.lower() in UNITS_M:
        return UNITS_M[text.lower()]
    try:
        metres = float(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is no unit of depth; there are {UNITS}") from error
    if not 0 < metres < math.inf:
        raise UsageError(f"a unit of depth must be positive, not {text}")
    return metres


def is_known(values_HW: np.ndarray) -> np.ndarray:
    """(H, W) bool: finite, positive, and not one of the values that sensors and renderers write for unknown depth."""
    known = np.isfinite(values_HW) & (values_HW > 0) & (values_HW != SATURATED)
    if np.issubdtype(values_HW.dtype, np.floating):
        known &= values_HW < (LARGEST_HALF if values_HW.dtype == np.float16 else FAR)
    return known


def unit_of(values_HW: np.ndarray, given_m: float | None) -> Unit:
    """The unit of the values of a depth file.

    given_m: metres per unit, if the user gave it. Otherwise whole numbers are millimetres, or in the unit of the
    dataset on whose grid they lie; fractions are metres, or millimetres if metres are implausible.
    Raises UnknownUnit for values from which it cannot be decided (pictures, inverse depth), and for a median nearer
    than 1 cm or farther than 1 km.
    """
    known_K = values_HW[is_known(values_HW)].astype(np.float64)
    if not known_K.size:
        return Unit(given_m or 1.0)
    median = float(np.median(known_K))
    if given_m is not None:
        _check_believable(median, given_m, f"with {given_m:g} m a unit")
        return Unit(given_m)
    distinct_D = np.unique(known_K)
    whole = bool((distinct_D == np.round(distinct_D)).all()) and (
        len(distinct_D) > MANY or np.issubdtype(values_HW.dtype, np.integer)
    )  # fractions of a metre do not fall on whole metres again and again
    _check_no_picture(distinct_D, whole, saturated=bool((values_HW == SATURATED).any()))
    name, why = _of_whole(distinct_D) if whole else _of_fractions(median)
    _check_believable(median, UNITS_M[name], f"taken as {name}{why}")
    near, middle, far = (f"{value * UNITS_M[name]:.3g}" for value in (distinct_D[0], median, distinct_D[-1]))
    return Unit(UNITS_M[name], f"depth taken as {name}{why}: {near} to {far} m, half of it nearer than {middle} m")


def _of_whole(distinct_D: np.ndarray) -> tuple[str, str]:
    """The name of the unit, and the reason if it is not the usual one."""
    step = int(np.gcd.reduce(distinct_D.astype(np.int64)))
    if step in GRIDS and len(distinct_D) > MANY:
        return GRIDS[step], f" (every value is a multiple of {step})"
    return "mm", ""


def _of_fractions(median: float) -> tuple[str, str]:
    if SURELY_M < median < SURELY_MM:
        raise UnknownUnit(
            f"the unit of the depth is not clear: half of it is nearer than {median:.4g}, which may be metres, "
            "centimetres or millimetres"
        )
    return ("m", "") if median <= SURELY_M else ("mm", "")


def _check_no_picture(distinct_D: np.ndarray, whole: bool, saturated: bool) -> None:
    """Raises UnknownUnit for values that fill the range of a picture, as in inverse depth and visualisations."""
    if len(distinct_D) <= MANY:
        return
    largest, said = distinct_D[-1], ""
    if whole and largest <= 255:
        said = "whole numbers up to 255, as a picture has"
    elif whole and saturated and largest >= 0.99 * SATURATED:
        said = "stretched over all of 16 bit"
    elif largest == 1:
        said = "scaled to the range from 0 to 1"
    if said:
        raise UnknownUnit(
            f"the values are {said}, as of a visualisation or inverse depth (MiDaS, Depth Anything), which are no "
            "depth; give the depth itself, or if this is it"
        )


def _check_believable(median: float, metres: float, how: str) -> None:
    if not NEAREST_M <= median * metres <= FARTHEST_M:
        raise UnknownUnit(
            f"the depth cannot be meant: {how}, half of it is nearer than {median * metres:.3g} m (its median is "
            f"{median:.4g}); from 1 cm to 1 km are believed"
        )
