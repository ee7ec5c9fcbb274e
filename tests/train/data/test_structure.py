"""Structure samples: what is visible lies on what is complete, in cubes that hold it, the same for the same seed."""

import dataclasses
import pickle

import numpy as np
import pytest
import torch

from pipelines.errors import UsageError
from pipelines.train.data.errors import BadRowError, Rejected
from pipelines.train.data.options import NO_AUGMENTATION, Augmentation, DataLocation, DataOptions
from pipelines.train.data.placement import TOO_LARGE
from pipelines.train.data.sources.structure import StructureSource
from scenegen.contract.dataset import Dataset
from scenegen.contract.object_dataset import ObjectDataset
from scenegen.contract.voxels import surface_voxels


def source_of(data, stage="coarse", split="train", seed=0, **options):
    location = DataLocation(str(data))
    return StructureSource(DataOptions((location,), image_px=64, **options), split, seed, stage)


def samples_of(source, epoch=0):
    found = []
    for index in range(len(source)):
        try:
            found.append(source.load(index, epoch))
        except Rejected as error:
            assert error.reason == TOO_LARGE
    assert len(found) > len(source) / 2
    return found


def distance_to_target(sample):
    """Of each partial voxel, in voxels."""
    partial, target = sample.partial_V3.float(), sample.target_V3.float()
    return torch.cdist(partial, target).amin(1)


@pytest.mark.parametrize("stage", ["coarse", "fine"])
def test_with_true_depth_the_visible_points_lie_on_the_surface(tiny_data, stage):
    for sample in samples_of(source_of(tiny_data, stage, alpha="truth")):
        assert distance_to_target(sample).max() < 2  # a pixel's depth is quantised, a voxel is an edge long
        assert (distance_to_target(sample) == 0).float().mean() > 0.9
        assert (sample.depth_ratio, sample.estimator) == (0.0, "gt")


def test_estimated_depth_puts_points_beside_the_surface_in_proportion_to_alpha(tiny_data):
    estimated = samples_of(source_of(tiny_data, "fine", alpha="estimate"))
    assert {(sample.depth_ratio, sample.estimator) for sample in estimated} == {(1.0, "simulated")}
    exact = samples_of(source_of(tiny_data, "fine", alpha="truth"))
    off = [np.mean([float(distance_to_target(s).mean()) for s in samples]) for samples in (exact, estimated)]
    assert off[1] > 3 * off[0]


def test_the_coarse_cube_has_the_visible_part_in_its_middle_half(tiny_data):
    for sample in samples_of(source_of(tiny_data, alpha="truth", augmentation=NO_AUGMENTATION, oversize="reject")):
        inside = sample.partial_V3[sample.confidence_V > 0.8].float()
        assert inside.min() >= 16 and inside.max() <= 48
        assert (inside.amax(0) - inside.amin(0)).max() >= 29


def test_the_fine_cube_is_filled_by_the_object(tiny_data):
    for sample in samples_of(source_of(tiny_data, "fine", augmentation=NO_AUGMENTATION)):
        assert (sample.target_V3.int().amax(0) - sample.target_V3.int().amin(0)).max() >= 62


def test_the_pose_of_the_cube_puts_the_asset_where_the_target_is(tiny_data):
    objects, dataset = ObjectDataset.open(tiny_data), Dataset.open(tiny_data)
    for sample in samples_of(source_of(tiny_data))[:6]:
        mesh = objects.geometry(sample.name.asset_uid)
        view = dataset.view(sample.name.view, images=[])
        pose = next(o.T_world_obj for o in view.objects if o.instance_id == sample.name.instance_id)
        T = np.linalg.inv(sample.T_world_cube.numpy()) @ pose
        voxels = surface_voxels(mesh.vertices @ T[:3, :3].T + T[:3, 3], mesh.faces).astype(np.int64)
        there = {*map(tuple, voxels.tolist())}, {*map(tuple, sample.target_V3.tolist())}
        assert len(there[0] & there[1]) > 0.97 * len(there[0] | there[1])  # float32 and float64 differ at borders


def test_objects_larger_than_the_cube_are_never_squashed_unless_asked(tiny_data):
    def on_walls(sample):
        at_edge = ((sample.target_V3 == 0) | (sample.target_V3 == 63)).any(1)
        return float(at_edge.float().mean())

    def samples(**options):
        return samples_of(source_of(tiny_data, augmentation=Augmentation(scale=(1, 1), shift=0), **options))

    squashed, rejected = samples(oversize="squash"), samples(oversize="reject")
    rescaled = samples(oversize="rescale", largest_growth=100.0)
    assert len(squashed) == len(rescaled) > len(rejected)
    assert max(map(on_walls, squashed)) > 3 * max(map(on_walls, rejected + rescaled))


def test_a_sample_depends_on_seed_epoch_and_number_alone(tiny_data):
    first, again = source_of(tiny_data), pickle.loads(pickle.dumps(source_of(tiny_data)))
    again.load(5, 3)
    for one, other in ((first.load(2, 1), again.load(2, 1)),):
        for field in ("target_V3", "partial_V3", "confidence_V", "T_world_cube"):
            assert torch.equal(getattr(one, field), getattr(other, field))
        assert torch.equal(one.draws.noise, other.draws.noise)
        assert torch.equal(one.images.instance_4SS, other.images.instance_4SS)
        assert torch.equal(one.images.clean_3SS, other.images.clean_3SS)
    for changed in (first.load(2, 2), source_of(tiny_data, seed=1).load(2, 1)):
        assert not torch.equal(changed.draws.noise, first.load(2, 1).draws.noise)
        assert changed.depth_ratio != first.load(2, 1).depth_ratio


def test_validation_sees_only_assets_that_training_never_sees(tiny_data):
    train, val = (source_of(tiny_data, split=split).catalogue for split in ("train", "val"))
    assert {asset.uid for asset in val.assets} == {"tiny/pebble", "tiny/table"}
    assert not {asset.uid for asset in train.assets} & {asset.uid for asset in val.assets}


def test_samples_of_a_view_share_its_scene_image(tiny_data):
    source = source_of(tiny_data)
    groups = source.groups()
    together = np.flatnonzero(groups == np.bincount(groups).argmax())
    batch = source.collate([source.load(int(index), 0) for index in together])
    assert len(together) > 1
    assert len(batch.images.scenes_u8_U3SS) == 1
    assert batch.scene_B4SS.shape == (len(together), 4, 64, 64)
    masks = batch.scene_B4SS[:, 3]
    assert (masks.sum(0) <= 1).all(), "objects do not overlap in an image"


def test_batches_become_the_grids_that_the_samples_are(tiny_data):
    source = source_of(tiny_data)
    samples = samples_of(source)[:3]
    batch = source.collate(samples)
    for number, sample in enumerate(samples):
        assert torch.equal(batch.target_occupancy()[number, 0].nonzero().to(torch.uint8), sample.target_V3)
        assert torch.equal(batch.partial_occupancy()[number, 0].nonzero().to(torch.uint8), sample.partial_V3)
        assert float(batch.folded_confidence()[number].sum()) == pytest.approx(float(sample.confidence_V.sum()))
    assert batch.noise.shape == (3, 8, 16, 16, 16)
    assert batch.instance_B4SS.max() <= 1


def test_a_view_that_cannot_be_decoded_names_its_row(tiny_data, monkeypatch):
    source = source_of(tiny_data)
    monkeypatch.setattr("scenegen.contract.codecs.decode_rgb", lambda blob: (_ for _ in ()).throw(ValueError("torn")))
    with pytest.raises(BadRowError, match=r"views-00000-of-00002.parquet, row 0.*torn.*--bad-rows replace"):
        source.load(0, 0)


def test_estimators_that_are_not_there_are_named(tiny_data):
    with pytest.raises(UsageError, match=r"no depth of moge2.*there is simulated.*scenegen annotate"):
        source_of(tiny_data, estimators=("moge2",))


def test_two_datasets_are_mixed_by_weight(tiny_data):
    location = DataLocation(str(tiny_data))
    options = DataOptions((location, dataclasses.replace(location, weight=0.5)), image_px=64)
    source = StructureSource(options, "train", 0, "coarse")
    half = len(source) // 2
    assert source.weights().tolist() == [1.0] * half + [0.5] * half
    assert source.load(half, 0).name.dataset == 1


def test_the_description_is_of_the_data_and_not_of_their_place(tiny_data, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in tiny_data.iterdir():
        (copy / file.name).symlink_to(file)
    described = [DataOptions((DataLocation(str(place)),)).describe() for place in (tiny_data, copy)]
    assert described[0] == described[1]
    for file in copy.glob("*-00001-of-00002.parquet"):
        file.unlink()
    assert DataOptions((DataLocation(str(copy)),)).describe() != described[0]
    with pytest.raises(UsageError, match="no finished shard"):
        DataOptions((DataLocation(str(tmp_path)),)).describe()
