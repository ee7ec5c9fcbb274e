"""What files of an image become together, and what is said about them."""

import numpy as np
import pytest
from PIL import Image

from pipelines.complete.compute_device import ComputeDevice
from pipelines.complete.inputs.from_files import FileRequest, read_files
from pipelines.errors import UsageError


def inputs(folder, scene, masks=None, depth=None, **changes):
    """The scene's files, and what they are read as."""
    Image.fromarray(scene.rgb_HW3).save(folder / "in.png")
    Image.fromarray((scene.ids_HW if masks is None else masks).astype(np.uint8)).save(folder / "masks.png")
    np.save(folder / "depth.npy", scene.depth_HW if depth is None else depth)
    given = {
        "image": folder / "in.png",
        "masks": folder / "masks.png",
        "depth": str(folder / "depth.npy"),
        "camera": None,
        "fov_deg": 50.0,
        "depth_unit_m": None,
        "depth_along_ray": False,
        "split_components": False,
        "depth_weights": None,
        "moge2_weights": None,
    }
    return read_files(FileRequest(**{**given, **changes}), ComputeDevice.choose("cpu", "fp32", False))


def test_what_is_plain_needs_no_word_but_the_unit(tmp_path, scene) -> None:
    read = inputs(tmp_path, scene)
    [said] = read.assumed
    assert "depth taken as m: " in said
    assert said.endswith("give --depth-unit-m (m, cm, mm, scannet, tum, kitti, sunrgbd, or metres a unit)")
    assert inputs(tmp_path, scene, depth_unit_m=1.0).assumed == ()


def test_depth_that_cannot_be_meant_names_the_file_and_the_option(tmp_path, scene) -> None:
    with pytest.raises(UsageError, match=r"depth\.npy: the depth cannot be meant.*--depth-unit-m \(m, cm, mm"):
        inputs(tmp_path, scene, depth=scene.depth_HW * 1000, depth_unit_m=1.0)


def test_distances_along_the_ray_are_read_as_depth_on_request(tmp_path, scene) -> None:
    K, (height, width) = scene.camera.K_px, scene.depth_HW.shape
    v, u = np.mgrid[:height, :width] + 0.5
    rays = np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones_like(u)])
    read = inputs(tmp_path, scene, depth=scene.depth_HW * np.linalg.norm(rays, axis=0), depth_along_ray=True)
    np.testing.assert_allclose(read.depth_HW, scene.depth_HW, rtol=1e-6)


def test_one_mask_of_several_things_says_so_and_is_split_on_request(tmp_path, scene) -> None:
    mask = (scene.ids_HW > 0) * 255
    one = inputs(tmp_path, scene, masks=mask)
    assert list(one.masks) == [255]
    assert "taken as one object, 255, in 5 parts" in one.assumed[0]
    split = inputs(tmp_path, scene, masks=mask, split_components=True)
    assert list(split.masks) == [1, 2, 3, 4, 5]
    largest, *_, smallest = (split.masks[i].sum() for i in split.masks)
    assert largest == max(np.bincount(scene.ids_HW.ravel())[1:])
    assert smallest == min(np.bincount(scene.ids_HW.ravel())[1:])


def test_masks_that_tell_objects_apart_are_not_split(tmp_path, scene) -> None:
    with pytest.raises(UsageError, match="has 5 masks"):
        inputs(tmp_path, scene, split_components=True)
