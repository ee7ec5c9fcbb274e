"""Features at voxels. The views' colour is the canonical place, so a voxel's right features are its own centre."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh
from torch.nn import functional

from scenegen.errors import AssetError
from scenegen.objects.networks.projection import FeatureViews, voxel_centres, voxel_features
from scenegen.objects.networks.rotations import rotated, uniform_rotations
from tests.objects.networks.conftest import MeanColours, geometry_of, views_of

VOXEL = 1 / 64


@pytest.fixture(scope="module")
def views(torus_views) -> FeatureViews:
    return FeatureViews.of(MeanColours(), torus_views)


def distances(feats, centres) -> np.ndarray:
    """Between the places that the features name and the voxels' own."""
    return np.linalg.norm(np.asarray(feats, np.float64) - 0.5 - centres, axis=1)


def test_a_voxels_features_are_those_of_its_own_place(torus, views):
    features = voxel_features(views, torus.voxels)
    error = distances(features.feats, voxel_centres(torus.voxels))
    assert features.feats.dtype == np.float16 and features.feats.shape == (len(torus.voxels), 3)
    assert np.median(error) < 1.5 * VOXEL  # at silhouettes a sample mixes with the black around


def test_the_mean_over_all_views_mixes_in_what_lies_before_the_voxel(torus, views):
    centres = voxel_centres(torus.voxels)
    seen, everywhere = (voxel_features(views, torus.voxels, visibility) for visibility in ("seen", "all"))
    assert np.median(distances(everywhere.feats, centres)) > 5 * np.median(distances(seen.feats, centres))
    assert (everywhere.views_seen == 24).all() and 1 < seen.views_seen.mean() < 16


def test_over_all_views_it_is_the_mean_of_bilinear_samples(torus, torus_views, views):
    """The official way, done with grid_sample."""
    maps = MeanColours()(np.stack([view.rgba for view in torus_views]))
    centres = voxel_centres(torus.voxels)
    places = []
    for view in torus_views:
        T = np.linalg.inv(view.T_obj_cam)
        image = (centres @ T[:3, :3].T + T[:3, 3]) @ view.K_px.T
        places.append(2 * image[:, :2] / image[:, 2:] / view.size_px - 1)
    grid = torch.from_numpy(np.stack(places)[:, None].astype(np.float32))
    expected = functional.grid_sample(maps, grid, align_corners=False).mean(dim=0)[:, 0].T
    feats, _ = views.at(torus.voxels, visibility="all")
    torch.testing.assert_close(feats, expected, atol=2e-5, rtol=0)


def test_a_turned_asset_keeps_the_features_of_its_canonical_places(torus, views):
    for index, rotation in enumerate(uniform_rotations(4, np.random.default_rng(1))):
        pose = rotated(torus, rotation, index)
        feats, seen = views.at(pose.voxels, pose.T_rot_obj)
        inverse = np.linalg.inv(pose.T_rot_obj)
        centres = voxel_centres(pose.voxels) @ inverse[:3, :3].T + inverse[:3, 3]
        assert np.median(distances(feats, centres)) < 1.5 * VOXEL
        assert (seen > 0).mean() > 0.97


def test_a_voxel_that_no_view_sees_takes_the_views_of_the_nearest_that_is_seen(views):
    """A box in a box: the inner one is hidden."""
    outer, inner = trimesh.creation.box((1.0, 1.0, 1.0)), trimesh.creation.box((0.3, 0.3, 0.3))
    geometry = geometry_of(trimesh.util.concatenate([outer, inner]), "boxes")
    features = voxel_features(FeatureViews.of(MeanColours(), views_of(geometry, 8)), geometry.voxels)
    hidden = np.abs(voxel_centres(geometry.voxels)).max(axis=1) < 0.25
    assert (features.views_seen[hidden] == 0).all() and (features.views_seen[~hidden] > 0).mean() > 0.95
    assert np.isfinite(features.feats).all() and (features.feats[hidden].max(axis=1) > 0).all()


def test_an_asset_that_no_view_sees_fails_alone(torus, torus_views):
    nothing = [replace(view, depth=np.full_like(view.depth, 0.1)) for view in torus_views]
    with pytest.raises(AssetError, match=r"torus.*no feature view sees"):
        voxel_features(FeatureViews.of(MeanColours(), nothing), torus.voxels)


def test_features_that_half_precision_cannot_hold_are_refused(torus, torus_views):
    class Huge(MeanColours):
        def __call__(self, rgba_KHW4):
            return 1e6 * super().__call__(rgba_KHW4)

    with pytest.raises(AssetError, match="float16"):
        voxel_features(FeatureViews.of(Huge(), torus_views), torus.voxels)


def test_views_of_two_assets_are_no_views_of_one(torus_views):
    with pytest.raises(ValueError, match="one asset"):
        FeatureViews.of(MeanColours(), [torus_views[0], replace(torus_views[1], asset_uid="other")])


@pytest.mark.gpu
def test_features_on_a_gpu_are_those_of_the_cpu(torus, torus_views, views):
    on_gpu = FeatureViews.of(MeanColours("cuda"), torus_views)
    for visibility in ("seen", "all"):
        ours, theirs = (voxel_features(one, torus.voxels, visibility) for one in (on_gpu, views))
        same = ours.views_seen == theirs.views_seen  # a depth at the tolerance may fall to either side
        assert same.mean() > 0.99
        np.testing.assert_allclose(ours.feats[same], theirs.feats[same], atol=2e-3)
