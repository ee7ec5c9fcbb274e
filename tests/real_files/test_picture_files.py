"""Pictures, masks, depth, cameras and meshes as people have them, through what `fixer-complete` and `fixer-evaluate`
read them with: the right value, or a message that says what to do."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.complete.cli import main
from pipelines.complete.compute_device import ComputeDevice
from pipelines.complete.inputs.camera_file import read_camera
from pipelines.complete.inputs.depth_file import read_depth
from pipelines.complete.inputs.from_files import FileRequest, read_files
from pipelines.complete.inputs.masks import read_masks
from pipelines.complete.inputs.pictures import EXIF_IFD, FOCAL_LENGTH_35MM, read_image
from pipelines.errors import EXIT_DONE, EXIT_USAGE, PipelineError
from pipelines.evaluate.files.meshes import read_shape
from tests.complete.spheres import spheres
from tests.real_files.camera_files import CAMERAS
from tests.real_files.coco_files import COCO, IMAGE_NAME, coco, rle
from tests.real_files.depth_files import DEPTHS
from tests.real_files.mask_files import LOSSY, LOSSY_SIZE_PX, MASKS
from tests.real_files.picture_case import DEPTH_M, OBJECTS, RGB, SIZE_PX, FileCase, Refused
from tests.real_files.picture_files import JPEG, ORIENTATION, PICTURES, STORED
from tests.real_files.prediction_files import POINTS, PREDICTIONS


def by_name(cases: list[FileCase]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


def read(case: FileCase, folder: Path, reader: Callable[[Path], Any]) -> Any:
    """What comes out; None where it was rightly refused."""
    if case.needs:
        pytest.importorskip(case.needs)
    path = case.write(folder)
    if not isinstance(case.right, Refused):
        return reader(path)
    with pytest.raises(PipelineError, match=case.right.said):
        reader(path)
    return None


@by_name(PICTURES)
def test_a_picture_has_its_pixels_where_and_as_they_are_seen(case: FileCase, tmp_path: Path) -> None:
    rgb = read(case, tmp_path, read_image)
    if rgb is not None:
        np.testing.assert_allclose(rgb, case.right, atol=case.tolerance)


@by_name([*MASKS, *COCO])
def test_masks_are_the_silhouettes_of_the_things(case: FileCase, tmp_path: Path) -> None:
    masks = read(case, tmp_path, lambda path: dict(read_masks(path, SIZE_PX, IMAGE_NAME).by_id))
    if masks is not None:
        assert masks.keys() == case.right.keys()
        assert all(np.array_equal(masks[i], case.right[i]) for i in masks)


@by_name(LOSSY)
def test_ids_that_were_stored_with_losses_are_refused(case: FileCase, tmp_path: Path) -> None:
    read(case, tmp_path, lambda path: read_masks(path, LOSSY_SIZE_PX))


@pytest.mark.parametrize("split", [False, True])
def test_a_binary_mask_of_several_things_is_one_or_is_split_on_request(split: bool, tmp_path: Path) -> None:
    both = OBJECTS[7] | OBJECTS[9]
    Image.fromarray(RGB).save(tmp_path / "in.png")
    Image.fromarray(both).convert("L").save(tmp_path / "mask.png")
    np.save(tmp_path / "depth.npy", DEPTH_M)
    files = FileRequest(
        image=tmp_path / "in.png",
        masks=tmp_path / "mask.png",
        depth=str(tmp_path / "depth.npy"),
        camera=None,
        fov_deg=60,
        depth_unit_m=1.0,
        depth_along_ray=False,
        split_components=split,
        depth_weights=None,
        moge2_weights=None,
    )
    inputs = read_files(files, ComputeDevice.choose("cpu", "fp32", offload=False))
    right = {1: OBJECTS[9], 2: OBJECTS[7]} if split else {255: both}  # the largest first
    assert inputs.masks.keys() == right.keys()
    assert all(np.array_equal(inputs.masks[i], right[i]) for i in right)
    (said,) = inputs.assumed
    assert ("split into 2 parts" if split else "taken as one object, 255, in 2 parts") in said
    assert split or "give --split-components" in said


@by_name(DEPTHS)
def test_depth_is_in_metres_and_unknown_where_it_is(case: FileCase, tmp_path: Path) -> None:
    depth = read(case, tmp_path, lambda path: read_depth(path, SIZE_PX).depth_HW)
    if depth is not None:
        np.testing.assert_allclose(depth, case.right, rtol=0, atol=case.tolerance)


@by_name(CAMERAS)
def test_a_camera_sees_what_the_image_sees(case: FileCase, tmp_path: Path) -> None:
    camera = read(case, tmp_path, lambda path: read_camera(path, SIZE_PX))
    if camera is not None:
        K_px, T_world_cam = case.right
        np.testing.assert_allclose(camera.K_px, K_px, atol=case.tolerance)
        np.testing.assert_allclose(camera.T_world_cam, T_world_cam, atol=case.tolerance)


def test_files_of_a_phone_and_of_tools_make_a_scene_in_its_place(tmp_path, tiny_checkpoint, capsys) -> None:
    """A CMYK JPEG that EXIF turns, depth in millimetres without a unit, COCO of pairs, MoGe's camera: one command."""
    scene = spheres()
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    stored = Image.fromarray(np.ascontiguousarray(STORED[6](scene.rgb_HW3))).convert("CMYK")
    stored.save(tmp_path / "IMG 1.JPG", "JPEG", exif=exif, **JPEG)
    Image.fromarray(np.nan_to_num(scene.depth_HW * 1000).round().astype(np.uint16)).save(tmp_path / "depth.png")
    masks = [{"id": 0, "segmentation": rle(scene.ids_HW == i)} for i in (1, 2)]
    (tmp_path / "masks.json").write_text(json.dumps(coco(*masks)))
    (tmp_path / "fov.json").write_text('{"fov_x": 50.0, "fov_y": 33.07}')
    files = {"image": "IMG 1.JPG", "masks": "masks.json", "depth": "depth.png", "camera": "fov.json"}
    options = [one for name, file in files.items() for one in (f"--{name}", str(tmp_path / file))]
    outputs = ["--out", str(tmp_path / "s.glb"), "--report", str(tmp_path / "r.json")]
    small = ["--instances", "2", "--steps", "1", "--guidance", "0", "--device", "cpu"]
    assert main(["--checkpoint", str(tiny_checkpoint), *options, *outputs, *small]) == EXIT_DONE
    said = capsys.readouterr().err
    assert "depth taken as mm" in said
    assert "several masks have one id" in said
    done = json.loads((tmp_path / "r.json").read_text())["instances"]["2"]
    assert done["points"] == pytest.approx((scene.ids_HW == 2).sum(), rel=0.05)
    centre = np.array(done["T_world_coarse"])[:3, 3]  # of what is seen: the half of the sphere before the camera
    assert np.linalg.norm(centre - scene.centres_N3[1]) < scene.radius


@by_name([LOSSY[0], LOSSY[3]])
def test_the_command_refuses_lossy_ids_in_a_line(case: FileCase, tmp_path: Path, capsys) -> None:
    path = case.write(tmp_path)
    Image.new("RGB", LOSSY_SIZE_PX).save(tmp_path / "in.png")
    np.save(tmp_path / "depth.npy", np.full(LOSSY_SIZE_PX[::-1], 2.5))
    inputs = ["--image", str(tmp_path / "in.png"), "--masks", str(path), "--depth", str(tmp_path / "depth.npy")]
    arguments = ["--checkpoint", "none", *inputs, "--fov-deg", "60", "--out", str(tmp_path / "s.glb")]
    assert main(arguments) == EXIT_USAGE
    assert "as PNG" in capsys.readouterr().err


def test_an_unknown_camera_is_answered_with_what_exif_says(tmp_path: Path, capsys) -> None:
    exif = Image.Exif()
    exif.get_ifd(EXIF_IFD)[FOCAL_LENGTH_35MM] = 26  # the main lens of many phones: 43.3 mm of diagonal before 26 mm
    Image.new("RGB", (400, 300)).save(tmp_path / "in.jpg", exif=exif)
    Image.new("L", (400, 300), 1).save(tmp_path / "masks.png")
    np.save(tmp_path / "depth.npy", np.full((300, 400), 2.5))
    inputs = ["--image", str(tmp_path / "in.jpg"), "--masks", str(tmp_path / "masks.png")]
    inputs += ["--depth", str(tmp_path / "depth.npy")]
    assert main(["--checkpoint", "none", *inputs, "--out", str(tmp_path / "s.glb")]) == EXIT_USAGE
    assert (
        f"--fov-deg ({np.degrees(2 * np.arctan(0.5 * 0.8 * 43.2666 / 26)):.1f} by the picture's EXIF"
        in capsys.readouterr().err
    )


@by_name(PREDICTIONS)
def test_an_object_is_judged_as_other_programs_show_it(case: FileCase, tmp_path: Path) -> None:
    shape = read(case, tmp_path, read_shape)
    if shape is not None:
        np.testing.assert_allclose(shape.vertices_V3, POINTS, atol=case.tolerance)
        assert (shape.colors_V3 == case.right).all()
