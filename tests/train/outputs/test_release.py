"""What a finished run leaves: the official layout, complete, named, and readable by what completes scenes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from models.checkpoints import read_pipeline, write_network
from models.completer import StructureCompleter
from models.gaussian_decoder import GaussianDecoder
from models.mesh_decoder import MeshDecoder
from models.registry import construct
from models.slat_flow import SLatFlow
from models.slat_vae import SLatEncoder
from models.structure_flow import SparseStructureFlow
from models.structure_vae import SparseStructureDecoder, SparseStructureEncoder
from models.texturer import Texturer
from pipelines.encoders.registry import load_encoders
from pipelines.errors import PipelineError
from pipelines.train.outputs.release import write_release
from pipelines.train.settings.initial_weights import OFFICIAL_KEYS, initial_pipeline
from pipelines.train.settings.sizes import system_sizes

KINDS = {
    "structure_encoder": SparseStructureEncoder,
    "structure_decoder": SparseStructureDecoder,
    "structure_flow": SparseStructureFlow,
    "coarse_completer": StructureCompleter,
    "fine_completer": StructureCompleter,
    "slat_encoder": SLatEncoder,
    "gaussian_decoder": GaussianDecoder,
    "mesh_decoder": MeshDecoder,
    "slat_flow": SLatFlow,
    "texturer": Texturer,
}
FACTS = {
    "slat_vae": {"slat_normalization": {"mean": [0.5] * 8, "std": [2.0] * 8}},
    "coarse": {"steps": 60, "sampler": {}},
    "fine": {"sampler": {"steps": 7, "guidance": 1.5}},
    "texturer": {"sampler": {"steps": 1, "noise_scale": 0.0}},
}


@pytest.fixture(scope="module")
def encoders():
    return load_encoders("efficientnet_lite0")


@pytest.fixture(scope="module")
def weights(encoders, tmp_path_factory) -> dict[str, Path]:
    folder, sizes = tmp_path_factory.mktemp("networks"), system_sizes("tiny", encoders.sizes)
    for name, kind in KINDS.items():
        write_network(construct(kind, sizes.config_of(name)), folder / name)
    return {name: folder / name for name in KINDS}


@pytest.fixture(scope="module")
def released(encoders, weights, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pipeline")
    write_release(folder, weights, FACTS, encoders)
    return folder


def test_a_release_has_every_network_under_its_official_key(released) -> None:
    networks, _ = read_pipeline(released)
    assert {name: type(networks[key]) for name, key in OFFICIAL_KEYS.items()} == KINDS
    assert set(initial_pipeline(str(released)).weights) == set(KINDS)


def test_a_release_says_its_size_encoders_samplers_and_statistics(released) -> None:
    args = json.loads((released / "pipeline.json").read_text())["args"]
    assert args["title"] == "3D-Fixer of size tiny with efficientnet_lite0 encoders, 60 steps of the coarse stage"
    assert args["encoders"] == {"name": "efficientnet_lite0", "image_px": 128}
    assert args["slat_normalization"]["std"] == [2.0] * 8
    assert args["sparse_structure_sampler"]["params"] == {
        "steps": 7,
        "cfg_strength": 1.5,
        "cfg_interval": [0.5, 1.0],
        "rescale_t": 3.0,
    }
    assert args["coarse_sparse_structure_sampler"]["params"]["cfg_strength"] == 5.0


def test_completion_reads_a_release(released) -> None:
    from pipelines.complete.networks import FixerNetworks

    networks = FixerNetworks.read(released)
    assert networks.encoders.name == "efficientnet_lite0"
    assert (networks.samplers.fine.steps, networks.samplers.coarse.steps) == (7, 25)
    assert (networks.samplers.texture.noise_scale, networks.samplers.fine.noise_scale) == (0.0, 1.0)
    assert networks.colours == "image", "a tiny mesh decoder has learned none"
    assert networks.carve and networks.thin


def test_a_release_in_half_precision_has_half_the_bytes_and_reads_as_float32(
    encoders, weights, released, tmp_path
) -> None:
    write_release(tmp_path, weights, FACTS, encoders, half=True)
    sizes = [sum(file.stat().st_size for file in place.rglob("*.safetensors")) for place in (released, tmp_path)]
    assert sizes[1] < 0.6 * sizes[0]
    exact, halved = read_pipeline(released)[0], read_pipeline(tmp_path)[0]
    for key, network in halved.items():
        assert {value.dtype for value in network.state_dict().values()} == {torch.float32}
        torch.testing.assert_close(network.state_dict(), exact[key].state_dict(), rtol=1e-3, atol=1e-6)


def test_a_release_says_how_it_was_trained_if_that_is_told(encoders, weights, released, tmp_path) -> None:
    training = {"stages": {"coarse": {"steps": 60, "hours": 0.1, "assets": 12}}}
    write_release(tmp_path, weights, FACTS, encoders, training=training)
    assert json.loads((tmp_path / "training.json").read_text()) == training
    assert not (released / "training.json").exists()


def test_an_incomplete_system_is_not_released(encoders, weights, tmp_path) -> None:
    rest = {name: place for name, place in weights.items() if name != "fine_completer"}
    with pytest.raises(PipelineError, match="fine_completer"):
        write_release(tmp_path, rest, FACTS, encoders)
    with pytest.raises(PipelineError, match="slat_vae"):
        write_release(tmp_path, weights, {}, encoders)
