"""Depth Pro, against the library's own network and recorded outputs of its processor; where torchvision is installed,
which that processor needs, against the library's whole path from a picture to depth and focal length.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from estimator_networks import write_depth_pro
from safetensors.torch import load_file

from models.checkpoints import CheckpointError
from models.depth_estimators.depth_pro import DepthPro, finish, prepare
from models.depth_estimators.images import stacked

RECORDED = Path(__file__).parent / "fixtures" / "depth_pro_processing.safetensors"


@pytest.fixture(scope="module")
def recorded():
    return {key.removeprefix("depth_pro."): value for key, value in load_file(RECORDED).items()}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_depth_pro(tmp_path_factory.mktemp("depth_pro"))


@pytest.fixture(scope="module")
def estimator(weights):
    return DepthPro.load(weights)


def test_images_are_prepared_as_the_library_does(recorded):
    images = stacked([recorded["in.rgb"].numpy()], torch.device("cpu"))
    torch.testing.assert_close(prepare(images, (96, 96)), recorded["out.pixel_values"], atol=1e-5, rtol=1e-5)


def test_depth_and_focal_length_are_those_of_the_library(recorded):
    depth, focal = finish(recorded["in.inverse"], recorded["in.fov_deg"], (40, 56))
    torch.testing.assert_close(depth, recorded["out.depth"], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(focal, recorded["out.focal"], rtol=1e-5, atol=1e-5)


def test_the_network_is_loaded_from_the_librarys_format_and_gives_its_depth(weights, estimator, photographs):
    from transformers.models.depth_pro import DepthProForDepthEstimation

    network = DepthProForDepthEstimation.from_pretrained(weights.parent).eval()
    for rgb, prediction in zip(photographs, estimator(photographs), strict=True):
        with torch.inference_mode():
            output = network(pixel_values=prepare(stacked([rgb], torch.device("cpu")), (64, 64)))
            depth, focal = finish(output.predicted_depth, output.field_of_view, rgb.shape[:2])
        np.testing.assert_allclose(prediction.map_HW, depth[0], rtol=1e-3)
        assert prediction.focal_px == pytest.approx(float(focal[0]), rel=1e-4)
        assert prediction.map_HW.shape == rgb.shape[:2]


def test_a_picture_gives_the_depth_and_focal_length_of_the_librarys_whole_path(tmp_path, photographs):
    pytest.importorskip("torchvision")
    from transformers.models.depth_pro import DepthProForDepthEstimation, DepthProImageProcessor

    weights = write_depth_pro(tmp_path)
    processor = DepthProImageProcessor(size={"height": 64, "width": 64})
    processor.save_pretrained(tmp_path)  # the library's file of it, instead of ours
    network, estimator = DepthProForDepthEstimation.from_pretrained(tmp_path).eval(), DepthPro.load(weights)
    for rgb in [*photographs, photographs[0][:37, :61]]:
        with torch.inference_mode():
            output = network(**processor(images=rgb, return_tensors="pt"))
        (theirs,) = processor.post_process_depth_estimation(output, target_sizes=[rgb.shape[:2]])
        (ours,) = estimator([rgb])
        np.testing.assert_allclose(ours.map_HW, theirs["predicted_depth"], rtol=1e-4)
        assert ours.focal_px == pytest.approx(float(theirs["focal_length"]), rel=1e-5)


def test_a_wider_field_of_view_is_a_nearer_world(recorded):
    inverse = recorded["in.inverse"][:1]
    narrow, wide = (finish(inverse, torch.tensor([fov]), (40, 56))[0].median() for fov in (30.0, 90.0))
    assert wide < narrow


def test_a_field_of_view_that_cannot_be_gives_nothing(recorded):
    depth, focal = finish(recorded["in.inverse"], torch.tensor([-3.0, 60.0]), (40, 56))
    assert torch.isnan(depth[0]).all() and torch.isnan(focal[0])
    assert torch.isfinite(depth[1]).all()


def test_a_network_without_its_focal_head_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="not metric"):
        DepthPro.load(write_depth_pro(tmp_path, with_focal=False))


def test_a_known_focal_length_replaces_the_one_that_was_found(recorded, estimator, photographs):
    inverse, fov = recorded["in.inverse"][:1], recorded["in.fov_deg"][:1]
    found, focal = finish(inverse, fov, (40, 56))
    told, kept = finish(inverse, fov, (40, 56), focal_px=2 * float(focal[0]))
    near = found < 5000  # nothing is taken to be farther than 10 km
    torch.testing.assert_close(told[near], 2 * found[near])  # twice as long a lens: twice as far away
    assert float(kept[0]) == pytest.approx(2 * float(focal[0]))
    (one,) = estimator(photographs[:1], 100.0)
    assert one.focal_px == 100.0


def test_another_networks_folder_is_refused_by_its_name(tmp_path):
    from estimator_networks import write_depth_anything

    with pytest.raises(CheckpointError, match="holds a depth_anything, not a depth_pro"):
        DepthPro.load(write_depth_anything(tmp_path))
