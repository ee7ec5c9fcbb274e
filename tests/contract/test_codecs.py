import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from scenegen.contract import codecs

SIZES = st.tuples(st.integers(1, 9), st.integers(1, 9))


@given(SIZES.flatmap(lambda size: arrays(np.uint16, size)))
def test_planes_come_back_as_they_were(planes):
    before = planes.copy()
    assert (codecs.decode_planes(codecs.encode_planes(planes), *planes.shape) == before).all()
    assert (planes == before).all(), "encoding must not change its input"


@given(SIZES.flatmap(lambda size: arrays(np.uint16, (*size, 2))))
def test_two_channel_planes_come_back_as_they_were(planes):
    assert (codecs.decode_planes(codecs.encode_planes(planes), *planes.shape) == planes).all()


@given(SIZES.flatmap(lambda size: arrays(np.uint8, (*size, 3))))
@settings(max_examples=20, deadline=None)
def test_rgb_is_lossless(rgb):
    assert (codecs.decode_rgb(codecs.encode_rgb(rgb)) == rgb).all()


def test_pillow_and_the_package_webp_decode_the_same_image(monkeypatch):
    pytest.importorskip("webp")
    rgba = np.random.default_rng(0).integers(0, 256, (7, 5, 4), np.uint8)
    blobs = (codecs.decode_rgb, codecs.encode_rgb(rgba[..., :3])), (codecs.decode_rgba, codecs.encode_rgba(rgba))
    quick = [decode(blob) for decode, blob in blobs]
    for decode, blob in blobs:
        with pytest.raises(ValueError, match="cannot be decoded"):
            decode(blob[:-9])
    monkeypatch.setattr(codecs, "_HAS_WEBP", False)
    for (decode, blob), image in zip(blobs, quick, strict=True):
        np.testing.assert_array_equal(decode(blob), image)


@given(SIZES.flatmap(lambda size: arrays(np.float32, size, elements=st.floats(0.125, 20, width=32))), st.data())
def test_depth_error_is_below_half_a_millimetre_and_invalid_stays_invalid(depth, data):
    depth = depth.copy()
    depth[data.draw(arrays(bool, depth.shape))] = np.nan
    blob, offset, step = codecs.encode_depth(depth)
    decoded = codecs.decode_depth(blob, offset, step, *depth.shape)
    assert (np.isnan(decoded) == np.isnan(depth)).all()
    assert np.nanmax(np.abs(decoded - depth), initial=0) < 5e-4


def test_depth_is_offset_plus_code_times_step_in_single_precision():
    code = np.arange(1 << 16, dtype=np.uint16).reshape(512, 128)  # every code, in more than one part
    offset, step = 0.7312345, 1.234e-4
    depth = codecs.decode_depth(codecs.encode_planes(code), offset, step, *code.shape)
    wanted = code.astype(np.float32) * np.float32(step) + np.float32(offset)
    np.testing.assert_array_equal(depth.ravel()[1:], wanted.ravel()[1:])
    assert np.isnan(depth[0, 0])


def test_a_flat_wall_has_depth():
    blob, offset, step = codecs.encode_depth(np.full((4, 4), 3.25, np.float32))
    assert np.allclose(codecs.decode_depth(blob, offset, step, 4, 4), 3.25, atol=1e-5)


@pytest.mark.parametrize("value", [0.0, -1.0, np.inf])
def test_depth_that_is_no_distance_is_refused(value):
    with pytest.raises(ValueError, match="positive and finite"):
        codecs.encode_depth(np.full((2, 2), value, np.float32))


def test_normals_of_the_whole_sphere_keep_their_direction_to_a_fiftieth_of_a_degree():
    rng = np.random.default_rng(0)
    normal = rng.normal(size=(100, 100, 3))
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    normal[:6, 0] = [[0, 0, 1], [0, 0, -1], [1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]]
    normal[7] = np.nan
    decoded = codecs.decode_normals(codecs.encode_normals(normal), 100, 100)
    valid = ~np.isnan(normal).any(axis=-1)
    assert (np.isnan(decoded).all(axis=-1) == ~valid).all()
    chord = np.linalg.norm(decoded[valid] - normal[valid], axis=-1).max()
    assert np.degrees(2 * np.arcsin(chord / 2)) < 0.02


def test_a_blob_of_another_size_is_refused():
    with pytest.raises((ValueError, OSError)):
        codecs.decode_planes(codecs.encode_planes(np.zeros((4, 4), np.uint16)), 5, 5)
