"""Latents by small encoders, written and read in the official layout."""

import numpy as np
import pytest
import torch

from models.checkpoints import write_network
from models.slat_vae import SLatEncoder, SLatEncoderConfig
from models.sparse.voxels import SparseTensor
from models.structure_vae import SparseStructureEncoder, StructureEncoderConfig
from scenegen.contract.objects import decode_latents, encode_latents
from scenegen.errors import SceneGenError
from scenegen.objects.networks import encoders as encoders_module
from scenegen.objects.networks import latents as latents_module
from scenegen.objects.networks.encoders import EncoderFiles, LatentEncoders
from scenegen.objects.networks.latents import asset_latents
from scenegen.objects.networks.projection import FeatureViews, voxel_features
from scenegen.objects.networks.rotations import uniform_rotations
from tests.objects.networks.conftest import MeanColours

ROTATIONS = uniform_rotations(3, np.random.default_rng(0))


def randomised(network: torch.nn.Module) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return network.eval()


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> EncoderFiles:
    folder = tmp_path_factory.mktemp("encoders")
    structure = SparseStructureEncoder(StructureEncoderConfig(1, 8, 1, (4, 8, 8), 1))
    slat = SLatEncoder(SLatEncoderConfig(64, 16, 8, 2, num_heads=2, in_channels=3))
    write_network(randomised(structure), folder / "ss_enc")
    write_network(randomised(slat), folder / "slat_enc")
    return EncoderFiles(str(folder / "ss_enc"), str(folder / "slat_enc"))


@pytest.fixture(scope="module")
def encoders(files) -> LatentEncoders:
    return LatentEncoders.load(files, MeanColours.channels, "cpu")


@pytest.fixture(scope="module")
def views(torus_views) -> FeatureViews:
    return FeatureViews.of(MeanColours(), torus_views)


@pytest.fixture(scope="module")
def rows(torus, encoders, views):
    return asset_latents(torus, encoders, ROTATIONS, voxel_features(views, torus.voxels), views)


def test_rows_are_what_the_contract_stores(rows, torus):
    assert [row.rotation_index for row in rows] == [0, 1, 2]
    np.testing.assert_array_equal(rows[0].coords, torus.voxels)
    for row in rows:
        assert row.slat.shape == (len(row.coords), 8) and row.structure.shape == (8, 16, 16, 16)
        assert np.isfinite(row.slat).all() and row.slat.std() > 0
        again = decode_latents(encode_latents(row).to_pylist()[0])
        np.testing.assert_array_equal(again.slat, row.slat)


def test_they_are_the_means_that_the_networks_give(rows, torus, encoders, views):
    structure, slat = encoders._structure, encoders._slat
    occupancy = torch.zeros(1, 1, 64, 64, 64)
    occupancy[0, 0][tuple(torch.from_numpy(rows[2].coords.astype(np.int64)).T)] = 1
    feats, _ = views.at(rows[2].coords, rows[2].T_rot_obj)
    coords = torch.from_numpy(np.insert(rows[2].coords.astype(np.int32), 0, 0, axis=1))
    with torch.inference_mode():
        np.testing.assert_allclose(rows[2].structure, structure(occupancy)[0][0], atol=1e-5)
        np.testing.assert_allclose(rows[2].slat, slat(SparseTensor.from_coords(feats, coords))[0], atol=1e-5)


def test_batches_do_not_change_the_latents(rows, torus, encoders, views, monkeypatch):
    monkeypatch.setattr(encoders_module, "_VOXELS_AT_ONCE", 1)
    monkeypatch.setattr(encoders_module, "_GRIDS_AT_ONCE", 1)
    alone = asset_latents(torus, encoders, ROTATIONS, voxel_features(views, torus.voxels), views)
    for one, other in zip(alone, rows, strict=True):
        np.testing.assert_allclose(one.slat, other.slat, atol=2e-5)  # the order of float32 sums depends on the batch
        np.testing.assert_allclose(one.structure, other.structure, atol=2e-5)


def test_poses_with_too_many_voxels_are_left_out(torus, encoders, monkeypatch, rows, views):
    sizes = sorted(len(row.coords) for row in rows)
    monkeypatch.setattr(latents_module, "MAX_VOXELS", sizes[1])
    kept = asset_latents(torus, encoders, ROTATIONS, voxel_features(views, torus.voxels), views)
    assert sorted(len(row.coords) for row in kept) == sizes[:2]


def test_structure_alone_needs_no_features(torus, files):
    (row,) = asset_latents(torus, LatentEncoders.load(EncoderFiles(files.structure), None, "cpu"), ROTATIONS[:1])
    assert row.slat is None and row.structure is not None


def test_a_slat_encoder_without_what_it_needs_is_an_error(torus, encoders, views):
    with pytest.raises(ValueError, match="needs the features"):
        asset_latents(torus, encoders, ROTATIONS[:1])
    with pytest.raises(ValueError, match="turned poses need the feature views"):
        asset_latents(torus, encoders, ROTATIONS, voxel_features(views, torus.voxels))


def test_an_encoder_of_other_features_is_refused(files):
    with pytest.raises(SceneGenError, match=r"takes features of 3 channels, and the extractor gives 1024"):
        LatentEncoders.load(files, 1024, "cpu")


def test_a_checkpoint_of_another_network_is_refused(files):
    with pytest.raises(SceneGenError, match=r"--structure-encoder .* holds a SLatEncoder, not a Sparse"):
        LatentEncoders.load(EncoderFiles(structure=files.slat), None, "cpu")


def test_settings_name_the_weights_and_missing_ones_name_the_option(files, tmp_path):
    settings = files.settings()
    assert settings["structure_encoder"]["name"] == "ss_enc" and len(settings["slat_encoder"]["sha256"]) == 64
    with pytest.raises(SceneGenError, match=r"--slat-encoder .*no weights at .*enc\.safetensors"):
        EncoderFiles(slat=str(tmp_path / "enc")).settings()


@pytest.mark.gpu
def test_latents_on_a_gpu_are_nearly_those_of_the_cpu(rows, torus, torus_views, files):
    encoders = LatentEncoders.load(files, MeanColours.channels, "cuda")
    views = FeatureViews.of(MeanColours("cuda"), torus_views)
    made = asset_latents(torus, encoders, ROTATIONS, voxel_features(views, torus.voxels), views)
    for ours, theirs in zip(made, rows, strict=True):
        np.testing.assert_array_equal(ours.coords, theirs.coords)
        for name in ("slat", "structure"):
            alike = np.corrcoef(getattr(ours, name).ravel(), getattr(theirs, name).ravel())[0, 1]
            assert alike > 0.99, name
