"""Views as PyTorch samples: what they hold, what is read for them, and which are chosen."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from scenegen import ViewDataset, collate_views, open_dataset
from scenegen.contract import codecs
from tests.conftest import with_glass, write_views

IMAGES = ("rgb", "depth_m", "instance_id", "normal_cam")


def test_a_sample_holds_the_images_of_the_view_in_the_layout_of_networks(dataset_dir):
    view, sample = open_dataset(dataset_dir).view(4), ViewDataset(dataset_dir, IMAGES)[4]
    assert (sample["number"], sample["scene_index"], sample["view_index"]) == (4, 2, 0)
    kinds = {name: (sample[name].dtype, tuple(sample[name].shape)) for name in IMAGES}
    assert kinds == {
        "rgb": (torch.uint8, (3, 24, 32)),
        "depth_m": (torch.float32, (1, 24, 32)),
        "instance_id": (torch.int32, (24, 32)),
        "normal_cam": (torch.float32, (3, 24, 32)),
    }
    np.testing.assert_array_equal(sample["rgb"].permute(1, 2, 0), view.rgb)
    np.testing.assert_array_equal(sample["depth_m"][0], view.depth_m)
    np.testing.assert_array_equal(sample["instance_id"], view.instance_id)
    np.testing.assert_array_equal(sample["normal_cam"].permute(1, 2, 0), view.normal_cam)
    np.testing.assert_array_equal(sample["K_px"], view.K_px)
    np.testing.assert_array_equal(sample["T_world_cam"], view.T_world_cam)
    assert "objects" not in sample


def test_the_surfaces_behind_glass_are_samples_too(dataset_dir, test_images):
    dataset = write_views(dataset_dir, with_glass(test_images(0)), "both")
    sample = ViewDataset(dataset, ["depth_m", "depth_opaque_m", "instance_id_opaque"])[0]
    glass = torch.from_numpy(test_images(0).instance_id == 3)
    torch.testing.assert_close(sample["depth_m"][0][glass], torch.full((64,), 1.5), atol=1e-3, rtol=0)
    torch.testing.assert_close(sample["depth_opaque_m"][0][glass], torch.full((64,), 3.0), atol=1e-3, rtol=0)
    assert sample["instance_id_opaque"].max() == 1


def test_only_what_was_asked_for_is_read(dataset_dir, monkeypatch):
    def refuse(*_):
        raise AssertionError("was decoded")

    for name in ("decode_rgb", "decode_normals"):
        monkeypatch.setattr(codecs, name, refuse)
    sample = ViewDataset(dataset_dir, ["depth_m"])[0]
    assert {*sample} == {"number", "scene_index", "view_index", "K_px", "T_world_cam", "depth_m"}
    assert open_dataset(dataset_dir).view(0, ["depth_m"], objects=False).objects == ()


def test_an_image_that_the_dataset_lacks_is_an_error_before_the_first_sample(dataset_dir):
    with pytest.raises(ValueError, match="choose from"):
        ViewDataset(dataset_dir, ["depth"])
    with pytest.raises(ValueError, match=r"scenegen render --render\.transparent both"):
        ViewDataset(dataset_dir, ["depth_opaque_m"])


def test_objects_come_with_boxes_in_pixels_and_poses(dataset_dir):
    view = open_dataset(dataset_dir).view(0)
    objects = ViewDataset(dataset_dir, objects=True, min_visible_px=0)[0]["objects"]
    assert objects["instance_id"].tolist() == [3, 4] and objects["asset_uid"] == ["asset/3", "asset/4"]
    assert objects["visible_px"].tolist() == [64, 0] and objects["amodal_px"].tolist() == [80, 0]
    assert objects["visible_box_px"].tolist()[0] == [5, 10, 13, 18]
    assert objects["amodal_box_px"].shape == (2, 4)
    assert objects["occlusion"].tolist() == pytest.approx([0.2, 0.0])
    np.testing.assert_allclose(objects["T_world_obj"], [o.T_world_obj for o in view.objects])


def test_filters_choose_scenes_objects_and_views_that_show_any(dataset_dir):
    assert ViewDataset(dataset_dir, scenes=range(1, 3)).numbers.tolist() == [2, 3, 4, 5]
    seen = ViewDataset(dataset_dir, objects=True)  # of two objects, one is not in sight
    assert len(seen) == 6 and seen[0]["objects"]["instance_id"].tolist() == [3]
    assert len(ViewDataset(dataset_dir, min_visible_px=64, max_occlusion=0.2)) == 6
    with pytest.raises(ValueError, match="a larger max_occlusion"):
        ViewDataset(dataset_dir, max_occlusion=0.1)
    with pytest.raises(ValueError, match="none of the 6 views"):
        ViewDataset(dataset_dir, min_visible_px=65)
    with pytest.raises(ValueError, match="none of the 6 views"):
        ViewDataset(dataset_dir, scenes=[7])


def test_a_batch_stacks_images_and_lists_objects(dataset_dir):
    views = ViewDataset(dataset_dir, ["rgb"], objects=True, transform=dropping_the_objects_of_view_1)
    batch = collate_views([views[0], views[1]])
    assert batch["rgb"].shape == (2, 3, 24, 32) and batch["number"].tolist() == [0, 1]
    assert [len(objects["instance_id"]) for objects in batch["objects"]] == [1, 0]


def dropping_the_objects_of_view_1(sample):
    if sample["number"] == 1:
        sample["objects"] = {"instance_id": torch.empty(0, dtype=torch.int64)}
    return sample


@pytest.mark.parametrize("workers", [0, 2])
def test_a_dataloader_of_pytorch_makes_batches_of_them(dataset_dir, workers):
    views = ViewDataset(dataset_dir, ["depth_m"], transform=depth_alone)
    views.dataset.view(0)  # a file is open before the workers are forked
    batches = list(torch.utils.data.DataLoader(views, batch_size=4, num_workers=workers))
    assert [tuple(batch.shape) for batch in batches] == [(4, 1, 24, 32), (2, 1, 24, 32)]
    wanted = np.stack([open_dataset(dataset_dir).view(number, ["depth_m"]).depth_m for number in range(6)])
    np.testing.assert_array_equal(torch.cat(batches)[:, 0], wanted)


def depth_alone(sample):
    return sample["depth_m"]


def test_a_sent_dataset_reads_the_same_samples(dataset_dir):
    views = ViewDataset(dataset_dir, ["rgb"], scenes=[1])
    sent = pickle.loads(pickle.dumps(views))
    assert len(sent) == 2 and torch.equal(sent[1]["rgb"], views[1]["rgb"])


def test_without_pytorch_the_command_that_installs_it_is_told():
    code = "import sys; sys.modules['torch'] = None\nfrom scenegen import View\nfrom scenegen import ViewDataset"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.stderr.splitlines()[-1].endswith("run: pip install 'fixer3d[train]'")
