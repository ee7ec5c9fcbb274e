"""The networks of `models` as estimators of a dataset's views."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))  # its tiny networks
from estimator_networks import write_depth_anything, write_depth_pro, write_moge

from models.depth_estimators.protocol import DepthMap
from models.depth_estimators.registry import load_depth_estimator
from scenegen.annotate.manifest import choose_estimators
from scenegen.annotate.networks import SeveralViews
from scenegen.annotate.options import EstimatorOptions
from scenegen.annotate.protocol import Request
from scenegen.annotate.registry import load_estimator
from scenegen.annotate.weights import Weights
from scenegen.errors import SceneGenError, UsageError

WRITERS = {"depth_anything_v2": write_depth_anything, "depth_pro": write_depth_pro, "moge2": write_moge}
CPU = EstimatorOptions(device="cpu")


def loaded(name, file):
    (record,) = choose_estimators(name)
    return load_estimator(record, Weights(file.parent, file, file.parent.name, ""), CPU)


@pytest.mark.parametrize("name", WRITERS)
def test_an_estimator_gives_the_maps_of_its_network_in_the_views_order(name, tmp_path, photographs):
    file = WRITERS[name](tmp_path)
    made = loaded(name, file).predict([Request(0, number, rgb) for number, rgb in enumerate(photographs)])
    wanted = load_depth_estimator(name, file)(photographs)
    for ours, theirs in zip(made, wanted, strict=True):
        np.testing.assert_array_equal(ours.map, theirs.map_HW)
        assert ours.focal_px == theirs.focal_px and ours.map.dtype == np.float32


def test_weights_that_do_not_fit_are_an_error_of_ours_that_says_what_to_do(tmp_path):
    torch.save({"weight": torch.zeros(2)}, tmp_path / "model.pt")
    with pytest.raises(SceneGenError, match=r"moge2: .*which network it holds.*fetch the checkpoint again"):
        loaded("moge2", tmp_path / "model.pt")
    (record,) = choose_estimators("moge2")
    with pytest.raises(UsageError, match="needs its weights"):
        load_estimator(record, None, CPU)


class Beside:
    """Shaped as Vggt is; keeps what it was shown, and answers with the number of pictures."""

    def __init__(self):
        self.shown = []

    def first_of(self, groups):
        self.shown += groups
        return [DepthMap(np.full(group[0].shape[:2], len(group), np.float32)) for group in groups]


def several(most=7, seed=0):
    return SeveralViews(Beside(), most, seed)


def test_half_of_the_views_are_seen_alone_and_the_others_with_up_to_seven_more():
    chosen = [several().companions(scene, view, range(30)) for scene in (0, 1) for view in range(30)]
    alone = sum(not companions for companions in chosen)
    assert 18 <= alone <= 42
    assert {len(companions) for companions in chosen if companions} == set(range(1, 8))
    for number, companions in enumerate(chosen):
        assert len(set(companions)) == len(companions) and number % 30 not in companions


def test_companions_are_the_same_in_every_run_and_differ_between_seeds():
    def draw(seed):
        return [several(seed=seed).companions(3, view, range(12)) for view in range(12)]

    assert draw(0) == draw(0) != draw(1)


def test_a_scene_of_one_view_has_no_companions():
    assert all(several().companions(s, 0, [0]) == () for s in range(9))
    assert all(several(most=0).companions(s, 0, range(9)) == () for s in range(9))


def test_a_view_is_shown_with_its_companions_in_their_order(photographs):
    estimator, (first, second, third, _) = several(), photographs
    (made,) = estimator.predict([Request(0, 0, first, ((4, second), (2, third)))])
    assert made.map[0, 0] == 3
    assert all(a is b for a, b in zip(estimator._network.shown[0], (first, second, third), strict=True))
