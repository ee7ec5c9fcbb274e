"""What the numbers of a depth file mean: decided where they tell, refused where they cannot be depth."""

import numpy as np
import pytest
from PIL import Image

from pipelines.complete.inputs.depth_file import planar, read_depth
from pipelines.complete.inputs.depth_units import UnknownUnit, parse_unit
from pipelines.errors import PipelineError, UsageError

SIZE = (64, 48)
ROOM_M = np.linspace(0.8, 5.2, SIZE[0] * SIZE[1]).reshape(SIZE[1], SIZE[0])


def stored(folder, values, name="depth"):
    """Integers of 16 bit and less as PNG, the rest as NumPy's."""
    if values.dtype in (np.uint8, np.uint16):
        Image.fromarray(values).save(folder / f"{name}.png")
        return folder / f"{name}.png"
    np.save(folder / f"{name}.npy", values)
    return folder / f"{name}.npy"


@pytest.mark.parametrize(
    ("values", "unit_m"),
    [
        ((ROOM_M * 1000).astype(np.uint16), 1e-3),
        ((ROOM_M * 1000).astype(np.int32), 1e-3),
        ((ROOM_M * 1000).astype(np.float32), 1e-3),  # fractions of a millimetre
        ((ROOM_M * 1000).astype(np.uint16).astype(np.float32), 1e-3),
        ((ROOM_M * 300).astype(np.uint16).astype(np.float32), 1e-3),  # of a thing on a desk
        ((ROOM_M * 1000).astype(np.uint16) * np.uint16(5), 1 / 5000),
        ((ROOM_M * 1000).astype(np.uint16) * np.uint16(8), 1 / 8000),
        (np.full(SIZE[::-1], 2000, np.uint16), 1e-3),  # a wall
        (ROOM_M, 1.0),
        (ROOM_M.astype(np.float16), 1.0),
        (np.full(SIZE[::-1], 2.0), 1.0),
    ],
)
def test_the_unit_is_decided_from_the_values_and_said(tmp_path, values, unit_m) -> None:
    read = read_depth(stored(tmp_path, values), SIZE)
    assert read.unit_m == unit_m
    assert f"to {np.max(values) * unit_m:.3g} m" in read.assumed
    np.testing.assert_allclose(read.depth_HW, values * unit_m, rtol=1e-6)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (ROOM_M * 1e6, "1 cm to 1 km"),
        (ROOM_M * 1e-3, "1 cm to 1 km"),
        (ROOM_M.astype(np.uint16), "1 cm to 1 km"),  # whole metres, or ids
        (ROOM_M * 100, "not clear"),
        (np.linspace(0, 65535, ROOM_M.size).reshape(ROOM_M.shape).astype(np.uint16), "stretched over all of 16 bit"),
        (np.linspace(0, 1, ROOM_M.size).reshape(ROOM_M.shape), "from 0 to 1"),
        ((ROOM_M * 40).astype(np.uint8).astype(np.uint16), "up to 255"),
        ((ROOM_M * 40).astype(np.uint8).astype(np.float64), "up to 255"),
    ],
)
def test_what_cannot_be_a_depth_is_refused_with_the_reason(tmp_path, values, why) -> None:
    with pytest.raises(UnknownUnit, match=why):
        read_depth(stored(tmp_path, values), SIZE)


@pytest.mark.parametrize(
    ("values", "unit_m"), [((ROOM_M * 1000).astype(np.uint16), 1.0), ((ROOM_M * 1000), 1.0), (ROOM_M, 1e-3)]
)
def test_a_given_unit_that_cannot_be_meant_is_refused_too(tmp_path, values, unit_m) -> None:
    with pytest.raises(UnknownUnit, match=r"1 cm to 1 km"):
        read_depth(stored(tmp_path, values), SIZE, unit_m)


def test_a_given_unit_is_taken_and_nothing_is_assumed(tmp_path) -> None:
    stretched = np.linspace(0, 65535, ROOM_M.size).reshape(ROOM_M.shape).astype(np.uint16)
    read = read_depth(stored(tmp_path, stretched), SIZE, parse_unit("kitti"))
    assert read.assumed == ""
    assert np.nanmax(read.depth_HW) == pytest.approx(256, abs=0.1)


@pytest.mark.parametrize(
    ("text", "unit_m"),
    [("0.001", 1e-3), ("1e-3", 1e-3), ("1", 1.0), ("m", 1), ("MM", 1e-3), ("TUM", 2e-4), ("ScanNet", 1e-3)],
)
def test_a_unit_is_a_number_or_a_name(text, unit_m) -> None:
    assert parse_unit(text) == unit_m


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "inch", ""])
def test_what_is_no_unit_is_said(text) -> None:
    with pytest.raises(UsageError, match="unit of depth"):
        parse_unit(text)


@pytest.mark.parametrize(
    ("unknown", "dtype", "scale"),
    [
        (0, np.uint16, 1000),
        (65535, np.uint16, 1000),
        (-1, np.int32, 1000),
        (np.nan, np.float32, 1),
        (np.inf, np.float32, 1),
        (-1, np.float32, 1),
        (1e10, np.float32, 1),  # Blender's background
        (65504, np.float16, 1),  # the same in half floats
    ],
)
def test_pixels_marked_as_unknown_are_unknown(tmp_path, unknown, dtype, scale) -> None:
    values = (ROOM_M * scale).astype(dtype)
    values[:30] = unknown  # most of the image: the median is of what is known
    depth = read_depth(stored(tmp_path, values), SIZE).depth_HW
    assert np.isnan(depth[:30]).all()
    np.testing.assert_allclose(depth[30:], ROOM_M[30:], atol=2e-3)


def test_depth_without_any_known_pixel_is_read(tmp_path) -> None:
    assert np.isnan(read_depth(stored(tmp_path, np.zeros((48, 64), np.uint16)), SIZE).depth_HW).all()


@pytest.mark.parametrize(
    ("picture", "what"),
    [
        (Image.fromarray((ROOM_M * 40).astype(np.uint8)), "8 bit"),
        (Image.fromarray((ROOM_M * 40).astype(np.uint8)).convert("RGB"), "colours"),
        (Image.fromarray((ROOM_M * 40).astype(np.uint8)).convert("RGBA"), "colours"),
        (Image.fromarray((ROOM_M * 40).astype(np.uint8)).convert("P"), "colours"),
        (Image.fromarray(ROOM_M > 2), "8 bit"),
    ],
)
def test_a_picture_of_depth_is_no_depth(tmp_path, picture, what) -> None:
    picture.save(tmp_path / "depth.png")
    with pytest.raises(PipelineError, match=f"{what}.*16-bit"):
        read_depth(tmp_path / "depth.png", SIZE, 1e-3)
    np.save(tmp_path / "depth.npy", np.asarray(picture))
    with pytest.raises(PipelineError, match=r"8 bit|not one depth a pixel"):
        read_depth(tmp_path / "depth.npy", SIZE, 1e-3)


def test_a_smaller_depth_keeps_its_place_and_a_turned_one_is_told(tmp_path) -> None:
    small = np.repeat(np.repeat(ROOM_M[::4, ::4], 4, axis=0), 4, axis=1)
    np.testing.assert_array_equal(read_depth(stored(tmp_path, ROOM_M[::4, ::4]), SIZE).depth_HW, small.astype("f4"))
    with pytest.raises(UsageError, match="turned by 90 degrees"):
        read_depth(stored(tmp_path, ROOM_M.T), SIZE)


def test_distance_along_the_ray_becomes_depth_along_the_axis() -> None:
    K = np.array([[50.0, 0, 32], [0, 50, 24], [0, 0, 1]])
    v, u = np.mgrid[:48, :64] + 0.5
    distance = 3 * np.linalg.norm(np.stack([(u - 32) / 50, (v - 24) / 50, np.ones_like(u)]), axis=0)  # of a wall
    np.testing.assert_allclose(planar(distance, K), 3, rtol=1e-6)
