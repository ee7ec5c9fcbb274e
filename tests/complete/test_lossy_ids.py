"""Ids are refused where they were stored with losses or scaled with interpolation, and nowhere else."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, features
from PIL.Image import Resampling

from pipelines.complete.inputs.mask_files.lossy_ids import is_mixed
from pipelines.complete.inputs.masks import read_masks
from pipelines.errors import UsageError

SIZE = (320, 240)
SMOOTH = (Resampling.BILINEAR, Resampling.BICUBIC, Resampling.LANCZOS)
AREAS = (Resampling.BOX, Resampling.HAMMING)  # which enlarge by nearest pixels, or nearly
OF_A_BYTE = ("few", "in order", "spread", "colours")


@pytest.fixture(scope="module")
def crowd() -> np.ndarray:
    """(240, 320) ids of 80 things before a wall: round ones, chairs on legs of a pixel, wires, single pixels."""
    image, rng = Image.new("L", SIZE, 1), np.random.default_rng(0)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 80, *SIZE), fill=2)
    for i in range(3, 83):
        x, y, r = rng.uniform(0, SIZE[0]), rng.uniform(0, SIZE[1]), rng.uniform(3, 24)
        if i % 4 == 0:
            draw.ellipse((x - r, y - r, x + r, y + r), fill=i)
        elif i % 4 == 1:
            draw.rectangle((x, y - r, x + r, y), fill=i)
            for leg in (0, r / 2, r):
                draw.line((x + leg, y, x + leg + 3, y + r), fill=i)
        elif i % 4 == 2:
            draw.line((x, y, x + rng.uniform(-90, 90), y + rng.uniform(-90, 90)), fill=i)
        else:
            draw.point((x, y), fill=i)
    return np.asarray(image)


def named(crowd: np.ndarray, name: str) -> np.ndarray:
    """The crowd with other ids, or (240, 320, 3) colours."""
    rng = np.random.default_rng(1)
    return {
        "few": np.where(crowd % 4 == 0, crowd // 8, crowd.clip(0, 2)).astype(np.uint8),  # the round ones alone
        "in order": crowd,
        "spread": rng.permutation(256)[crowd].astype(np.uint8),
        "of 16 bit": rng.permutation(60000)[crowd].astype(np.uint16),
        "colours": rng.integers(0, 256, (256, 3), dtype=np.uint8)[crowd],
    }[name]


@pytest.fixture(scope="module", params=[*OF_A_BYTE, "of 16 bit"])
def labels(request, crowd) -> np.ndarray:
    return named(crowd, request.param)


@pytest.fixture(scope="module", params=OF_A_BYTE)
def byte_labels(request, crowd) -> np.ndarray:
    return named(crowd, request.param)


def planes(image: Image.Image | np.ndarray) -> np.ndarray:
    pixels = np.asarray(image)
    return pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)


def scaled(labels: np.ndarray, factor: float, way: Resampling) -> Image.Image | np.ndarray:
    size = round(SIZE[0] * factor), round(SIZE[1] * factor)
    if labels.dtype == np.uint8:
        return Image.fromarray(labels).resize(size, way)
    return np.round(Image.fromarray(labels.astype(np.float32)).resize(size, way)).clip(0, 65535).astype(np.uint16)


def test_a_crowd_of_thin_and_tiny_things_is_read_as_it_is(labels, tmp_path) -> None:
    Image.fromarray(labels).save(tmp_path / "ids.png")
    Image.fromarray(labels[::2, ::2]).save(tmp_path / "half.png")
    masks = read_masks(tmp_path / "ids.png", SIZE)
    assert masks.assumed == ()
    colours = np.unique(labels.reshape(SIZE[0] * SIZE[1], -1), axis=0)
    assert len(masks.by_id) == colours.any(axis=1).sum()
    assert read_masks(tmp_path / "half.png", (160, 120)).assumed == ()


@pytest.mark.parametrize("factor", [0.25, 0.5, 0.7, 1.3, 2, 4])
def test_ids_scaled_with_interpolation_are_told(labels, factor) -> None:
    for way in SMOOTH if factor > 1 else SMOOTH + AREAS:
        assert is_mixed(planes(scaled(labels, factor, way))), way
    assert not is_mixed(planes(scaled(labels, factor, Resampling.NEAREST)))


@pytest.mark.parametrize("quality", [30, 75, 95, 100])
def test_a_png_that_was_a_jpeg_is_told(byte_labels, quality) -> None:
    for subsampling in ("4:4:4", "4:2:0"):
        jpeg = io.BytesIO()
        Image.fromarray(byte_labels).save(jpeg, "JPEG", quality=quality, subsampling=subsampling)
        assert is_mixed(planes(Image.open(jpeg)))


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("a.jpg", {"quality": 95}, "stored as JPEG"),
        ("a.webp", {"quality": 90}, "stored as lossy WebP"),
        ("a.tif", {"compression": "jpeg"}, "stored as JPEG"),
        ("a.avif", {}, "stored as AVIF"),
    ],
)
def test_ids_in_a_lossy_format_are_refused_with_what_to_do(byte_labels, name, options, said, tmp_path) -> None:
    if name.endswith("avif") and not features.check("avif"):
        pytest.skip("this Pillow writes no AVIF")
    Image.fromarray(byte_labels).save(tmp_path / name, **options)
    with pytest.raises(UsageError, match=rf"{said}.*save the masks as PNG where they are made"):
        read_masks(tmp_path / name, SIZE)


def test_lossless_webp_of_ids_is_read(crowd, tmp_path) -> None:
    Image.fromarray(crowd).convert("RGB").save(tmp_path / "ids.webp", lossless=True, exif=Image.Exif())
    assert len(read_masks(tmp_path / "ids.webp", SIZE).by_id) == len(np.unique(crowd))


def test_spoilt_ids_are_refused_with_what_to_do(crowd, tmp_path) -> None:
    Image.fromarray(crowd).resize((640, 480), Resampling.BILINEAR).save(tmp_path / "ids.png")
    with pytest.raises(UsageError, match=r"mixtures.*save the masks as PNG where they are made"):
        read_masks(tmp_path / "ids.png", (640, 480))
    palette = Image.fromarray(np.stack([crowd * 3] * 3, -1)).resize((640, 480), Resampling.BICUBIC)
    palette.convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "palette.png")
    with pytest.raises(UsageError, match="mixtures"):
        read_masks(tmp_path / "palette.png", (640, 480))


@pytest.fixture(scope="module")
def ball() -> np.ndarray:
    v, u = np.mgrid[: SIZE[1], : SIZE[0]]
    return (u - 150) ** 2 + (v - 110) ** 2 < 60**2


@pytest.mark.parametrize("name", ["a.jpg", "a.webp", "coloured.jpg", "scaled.png", "jpeg.png"])
def test_one_mask_of_black_and_white_survives_losses_and_says_so(ball, name, tmp_path) -> None:
    white = Image.fromarray(ball.astype(np.uint8) * 255)
    if name == "scaled.png":
        white = white.resize((160, 120), Resampling.BOX).resize(SIZE, Resampling.BICUBIC)
    if name == "jpeg.png":
        white.save(tmp_path / "b.jpg", quality=60)
        white = Image.open(tmp_path / "b.jpg")
    (white.convert("RGB") if name == "coloured.jpg" else white).save(tmp_path / name)
    masks = read_masks(tmp_path / name, SIZE)
    [mask] = masks.by_id.values()
    assert (mask != ball).sum() < 100  # of 377 pixels on the outline, beside it
    assert "white is from 128 on" in masks.assumed[0]


def test_a_folder_of_jpeg_masks_is_read_and_of_jpeg_pictures_refused(ball, tmp_path) -> None:
    for i, mask in ((1, ball), (2, ~ball), (3, ball & False)):
        Image.fromarray(mask.astype(np.uint8) * 255).save(tmp_path / f"{i}.jpg")
    masks = read_masks(tmp_path, SIZE)
    assert "3 masks that are stored with losses" in masks.assumed[0]
    for i, true in ((1, ball), (2, ~ball), (3, ball & False)):
        assert (masks.by_id[i] != true).sum() < 40
    Image.fromarray(ball.astype(np.uint8)).save(tmp_path / "4.jpg")  # 1, not white
    with pytest.raises(UsageError, match=r"4\.jpg is stored as JPEG and is no mask of black and white"):
        read_masks(tmp_path, SIZE)


def test_a_folder_of_cut_outs_is_masked_by_what_is_opaque(ball, tmp_path) -> None:
    rgba = np.random.default_rng(0).integers(0, 256, (SIZE[1], SIZE[0], 4), dtype=np.uint8)
    rgba[..., 3] = ball * 255
    Image.fromarray(rgba).save(tmp_path / "0.png")
    assert (read_masks(tmp_path, SIZE).by_id[0] == ball).all()
