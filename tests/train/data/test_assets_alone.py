"""Samples of assets by themselves: shapes, latents, renders, lone objects; and which assets are held out."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_dataset import FEATURE_CHANNELS
from tiny_shapes import grown

from pipelines.errors import UsageError
from pipelines.train.data.assets import usable_assets
from pipelines.train.data.errors import Rejected
from pipelines.train.data.options import NO_AUGMENTATION, Augmentation, DataLocation, DataOptions
from pipelines.train.data.randomness import random_rotation
from pipelines.train.data.rotated_assets import nearest_voxels, normalising_transform
from pipelines.train.data.sources.latents import LatentSource
from pipelines.train.data.sources.lone_objects import LoneObjectSource, covered
from pipelines.train.data.sources.renders import RenderSource
from pipelines.train.data.sources.shapes import ShapeSource
from scenegen.contract.object_dataset import ObjectDataset
from scenegen.contract.voxels import surface_voxels


def options(data, **changes):
    return DataOptions((DataLocation(str(data)),), image_px=64, **changes)


def seen_px(coords_N3, T_grid_cam, K_norm, size):
    """(size, size) bool: pixels that voxel centres of the grid project to."""
    centres = (np.asarray(coords_N3) + 0.5) / 64 - 0.5
    T_cam_grid = np.linalg.inv(T_grid_cam)
    pixels = (centres @ T_cam_grid[:3, :3].T + T_cam_grid[:3, 3]) @ np.asarray(K_norm).T
    columns, rows = (pixels[:, :2] / pixels[:, 2:] * size).astype(int).clip(0, size - 1).T
    seen = np.zeros((size, size), bool)
    seen[rows, columns] = True
    return seen


def test_a_shape_is_its_asset_or_the_asset_rotated_and_whole(tiny_data):
    source, objects = ShapeSource(options(tiny_data), "train", 0), ObjectDataset.open(tiny_data)
    canonical = 0
    for index, epoch in itertools.product(range(len(source)), range(4)):
        sample = source.load(index, epoch)
        mesh = objects.geometry(sample.name.asset_uid)
        same = np.array_equal(sample.target_V3.numpy(), mesh.voxels)
        canonical += same
        extent = int((sample.target_V3.int().amax(0) - sample.target_V3.int().amin(0)).max()) + 1
        assert extent in range(31, 65)
        assert sample.image_3SS.shape == (3, 64, 64)
    assert 4 <= canonical <= 20, "half of 24, give or take"
    assert ShapeSource(options(tiny_data), "train", 0, image=False).load(0, 0).image_3SS is None


def test_a_lone_objects_points_lie_on_its_surface(tiny_data):
    source = LoneObjectSource(options(tiny_data), "train", 0)
    for index, epoch in itertools.product(range(len(source)), range(2)):
        sample = source.load(index, epoch)
        target = {*map(tuple, sample.target_V3.tolist())}
        on_target = [tuple(voxel) in target for voxel in sample.partial_V3.tolist()]
        assert np.mean(on_target) > 0.95
        assert len(on_target) > 30
        assert sample.depth_ratio == 0
        assert sample.images.instance_4SS[3].any() and sample.images.scene_mask_SS.any()


@pytest.mark.parametrize("stored", [True, False])
def test_views_of_a_rotated_asset_show_its_voxels(tiny_data, stored):
    tables = {"latents": "tiny"} if stored else {"extractor": "tiny"}
    source = RenderSource(options(tiny_data, views_per_sample=2, **tables), "train", 0, mesh=True)
    for index, epoch in itertools.product(range(len(source)), range(2)):
        sample = source.load(index, epoch)
        assert (sample.slat_N8 is None) == (not stored) and (sample.feats_NC is None) == stored
        voxels = surface_voxels(sample.vertices_P3.numpy(), sample.faces_F3.numpy())
        np.testing.assert_array_equal(voxels, sample.coords_N3.numpy())
        for rgba_4HW, K_norm, T in zip(sample.rgba_K4HW, sample.K_norm_K33, sample.T_grid_cam_K44, strict=True):
            silhouette = rgba_4HW[3].numpy() > 0
            seen = seen_px(sample.coords_N3, T.numpy(), K_norm, silhouette.shape[0])
            assert (seen & ~grown(silhouette)).sum() <= 0.01 * seen.sum()
            assert (silhouette & ~grown(seen)).sum() <= 0.01 * silhouette.sum()
    batch = source.collate([source.load(0, 0), source.load(1, 0)])
    assert batch.voxels.lengths == tuple(torch.bincount(batch.coords_N4[:, 0]).tolist())
    assert len(batch.vertices) == 2 and batch.noise_N8.shape == (len(batch.coords_N4), 8)


def test_rotated_voxels_take_the_features_of_the_place_they_come_from(tiny_data):
    source = LatentSource(options(tiny_data, extractor="tiny"), "train", 0)
    objects = ObjectDataset.open(tiny_data)
    rotated = [source.load(index, epoch) for index, epoch in itertools.product(range(len(source)), range(3))]
    rotated = [s for s in rotated if not np.array_equal(s.coords_N3.numpy(), objects.geometry(s.name.asset_uid).voxels)]
    assert len(rotated) > 4
    for sample in rotated:
        assert sample.feats_NC.shape == (len(sample.coords_N3), FEATURE_CHANNELS)
        assert sample.feats_NC.dtype == torch.float16
        neighbours = sample.coords_N3.int().diff(dim=0).abs().sum(1) == 1  # rows that touch along z
        jump = sample.feats_NC.float().diff(dim=0)[neighbours].abs().mean()
        shuffled = sample.feats_NC.float()[torch.randperm(len(sample.feats_NC))].diff(dim=0).abs().mean()
        assert jump < 0.25 * shuffled


def test_the_nearest_voxel_is_the_nearest_of_all():
    rng = np.random.default_rng(0)
    voxels = np.unique(rng.integers(20, 44, (300, 3)), axis=0)
    points = np.concatenate([rng.uniform(10, 54, (400, 3)), voxels + rng.normal(0.5, 0.8, voxels.shape)])
    distance = np.square(points[:, None] - (voxels + 0.5)).sum(-1)
    found = distance[np.arange(len(points)), nearest_voxels(points, voxels)]
    np.testing.assert_allclose(found, distance.min(1))


def test_a_rotated_mesh_fills_the_unit_cube_again():
    vertices = np.random.default_rng(0).uniform(-0.5, 0.5, (50, 3))
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    T = normalising_transform(vertices, rotation)
    moved = vertices @ T[:3, :3].T + T[:3, 3]
    assert np.abs(moved).max() <= 0.5
    assert (moved.max(0) - moved.min(0)).max() == pytest.approx(1, abs=1e-5)


def test_poses_with_too_many_voxels_are_rejected(tiny_data):
    source = LatentSource(options(tiny_data, latents="tiny", max_voxels=8000), "train", 0)
    assert {asset.uid for asset in source.catalogue.assets} == {"tiny/bench", "tiny/chair"}
    outcomes = []
    for index, epoch in itertools.product(range(len(source)), range(8)):
        try:
            outcomes.append(len(source.load(index, epoch).coords_N3) <= 8000)
        except Rejected:
            outcomes.append("rejected")
    assert "rejected" in outcomes and False not in outcomes


def test_a_missing_table_is_named_with_what_there_is(tiny_data):
    with pytest.raises(UsageError, match=r"needs latents.*\(trellis\).*has tiny.*scenegen objects"):
        LatentSource(options(tiny_data, latents="trellis"), "train", 0)
    with pytest.raises(UsageError, match=r"needs features.*no table is named.*has tiny"):
        LatentSource(options(tiny_data), "train", 0)


def test_where_all_assets_are_of_one_split_some_are_held_out_for_good(tiny_data, monkeypatch):
    objects = ObjectDataset.open(tiny_data)
    table = objects.table("objects", ["asset_uid", "split", "status", "num_faces", "num_voxels"])
    alike = table.set_column(1, "split", [["train"] * len(table)])
    monkeypatch.setattr(ObjectDataset, "table", lambda self, name, columns: alike)
    for share in (0.01, 0.3, 0.6):
        train, val = (usable_assets(objects, split, share).keys() for split in ("train", "val"))
        assert val and train and not train & val and len(train | val) == len(table)
    assert not usable_assets(objects, "val", 0.0)
    without_one = alike.slice(1)
    val = usable_assets(objects, "val", 0.6).keys()
    monkeypatch.setattr(ObjectDataset, "table", lambda self, name, columns: without_one)
    assert usable_assets(objects, "val", 0.6).keys() == val - {alike["asset_uid"][0].as_py()}


def test_without_augmentation_an_asset_is_itself(tiny_data):
    source = LoneObjectSource(options(tiny_data, augmentation=NO_AUGMENTATION), "train", 0)
    ball = next(index for index, asset in enumerate(source.catalogue.assets) if asset.uid == "tiny/ball")
    voxels = ObjectDataset.open(tiny_data).geometry("tiny/ball").voxels
    shared = {*map(tuple, voxels.tolist())} & {*map(tuple, source.load(ball, 0).target_V3.tolist())}
    assert len(shared) > 0.97 * len(voxels)


AS_IN_SCENES = Augmentation(axis="vertical", resize_probability=0.0, hidden=(0.3, 0.6), seen_as="in_scenes")


def test_a_covered_lone_object_shows_less_of_itself_and_keeps_its_whole_shape(tiny_data):
    whole = LoneObjectSource(options(tiny_data, augmentation=replace(AS_IN_SCENES, hidden=(0, 0))), "train", 0)
    with_cover = LoneObjectSource(options(tiny_data, augmentation=AS_IN_SCENES), "train", 0)
    compared = 0
    for index, epoch in itertools.product(range(len(whole)), range(4)):
        try:
            seen, less = whole.load(index, epoch), with_cover.load(index, epoch)
        except Rejected:
            continue
        masks = [sample.images.scene_mask_SS > 0 for sample in (seen, less)]
        assert not (masks[1] & ~masks[0]).any(), "what is covered was seen before"
        assert 0.3 < masks[1].sum() / masks[0].sum() < 0.75
        target = {*map(tuple, less.target_V3.tolist())}
        assert np.mean([tuple(voxel) in target for voxel in less.partial_V3.tolist()]) > 0.9
        compared += 1
    assert compared > 10


def test_the_cubes_of_lone_objects_are_those_of_scenes(tiny_data):
    source = LoneObjectSource(options(tiny_data, augmentation=AS_IN_SCENES), "train", 0)
    filled = []
    for index, epoch in itertools.product(range(len(source)), range(6)):
        try:
            sample = source.load(index, epoch)
        except Rejected:
            continue
        extents = [
            int((voxels.int().amax(0) - voxels.int().amin(0)).max()) for voxels in (sample.target_V3, sample.partial_V3)
        ]
        filled.append(extents)
    targets, partials = np.array(filled).T
    fine = targets > 52  # the object itself fills the fine cube; in the coarse one its visible part fills half
    assert 0.2 < fine.mean() < 0.95
    assert (partials[~fine] <= 37).all()


def test_a_vertical_axis_leaves_up_where_it_is():
    rng = np.random.default_rng(0)
    rotations = np.stack([random_rotation(rng, "vertical") for _ in range(200)])
    np.testing.assert_allclose(rotations[:, 2], np.tile([0, 0, 1], (200, 1)), atol=1e-12)
    np.testing.assert_allclose(rotations @ rotations.transpose(0, 2, 1), np.tile(np.eye(3), (200, 1, 1)), atol=1e-12)
    headings = np.arctan2(rotations[:, 1, 0], rotations[:, 0, 0])
    assert np.histogram(headings, 4, (-np.pi, np.pi))[0].min() > 30, "every heading is as likely"


@pytest.mark.parametrize("share", [0.0, 0.25, 0.8])
def test_a_cover_hides_the_share_that_is_asked_for(share):
    rng = np.random.default_rng(0)
    mask = np.zeros((60, 80), bool)
    mask[10:50, 20:70] = True
    for _ in range(20):
        assert (covered(mask, share, rng) & mask).sum() / mask.sum() == pytest.approx(share, abs=0.03)


def test_a_view_that_shows_nothing_gives_no_sample_and_ends_nothing(tiny_data, monkeypatch):
    stored = ObjectDataset.view

    def from_the_edge(self, *key, **chosen):
        view = stored(self, *key, **chosen)
        return replace(view, depth=np.full_like(view.depth, np.nan))

    monkeypatch.setattr(ObjectDataset, "view", from_the_edge)
    with pytest.raises(Rejected, match="shows nothing"):
        LoneObjectSource(options(tiny_data), "train", 0).load(0, 0)
