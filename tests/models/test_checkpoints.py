"""Official checkpoints: sizes, keys, strictness, and what is written can be read."""

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_networks import STRUCTURE, randomised, structure_base

from models.checkpoints import (
    CheckpointError,
    Description,
    load_state,
    read_network,
    read_pipeline,
    read_state,
    write_network,
    write_pipeline,
)
from models.registry import build, describe, entry
from models.weights import WithoutStorage

COMMITTED_KEYS = Path(__file__).parents[1] / "parity" / "fixtures" / "keys"
KEY_LISTS = sorted(path for path in COMMITTED_KEYS.glob("*.json") if path.name != "index.json")
TRUNK = {"resolution": 8, "model_channels": 32, "latent_channels": 8, "num_blocks": 1, "num_heads": 2}
STACK = {"dim_in": [34, 2, 2, 2, 2], "dim_res_blocks": [32, 16, 8, 8, 8], "num_res_blocks": 0, "resamplers": "bilinear"}
CASES = {
    "SparseStructureEncoder": {"in_channels": 1, "latent_channels": 4, "num_res_blocks": 1, "channels": [8, 16]},
    "SparseStructureDecoder": {"out_channels": 1, "latent_channels": 4, "num_res_blocks": 1, "channels": [16, 8]},
    "SparseStructureFlowModel": {**STRUCTURE, "num_blocks": 2, "share_mod": True},
    "SceneSparseStructureFlowModule": {**STRUCTURE, "num_blocks": 1},
    "SLatFlowModel": {**STRUCTURE, "num_blocks": 1, "patch_size": 2, "io_block_channels": [16]},
    "SceneSLatFlowModel": {**STRUCTURE, "num_blocks": 1, "patch_size": 2, "io_block_channels": [16]},
    "SLatEncoder": {**TRUNK, "in_channels": 12, "window_size": 4},
    "SLatGaussianDecoder": {**TRUNK, "representation_config": {"num_gaussians": 4, "3d_filter_kernel_size": 0.002}},
    "SLatRadianceFieldDecoder": {**TRUNK, "representation_config": {"rank": 2, "dim": 3}},
    "SLatMeshDecoder": {**TRUNK, "model_channels": 256, "representation_config": {"use_color": True}},
    "DinoVisionTransformer": {"img_size": 28, "embed_dim": 16, "depth": 1, "num_heads": 2, "num_register_tokens": 2},
}


@pytest.mark.parametrize("file", KEY_LISTS, ids=lambda path: path.stem.split("__", 1)[0] + path.stem[-40:])
def test_full_size_networks_have_the_official_keys_shapes_and_parameter_counts(file: Path) -> None:
    official = json.loads(file.read_text())
    with WithoutStorage():
        network = build(official["cls"], official["kwargs"])
    ours = {key: list(value.shape) for key, value in network.state_dict().items()}
    assert ours == official["keys"]
    assert sum(parameter.numel() for parameter in network.parameters()) == official["n_params"]
    assert {name for name, _ in network.named_buffers()} == set(official["buffers"])


@pytest.mark.parametrize(
    ("name", "count"), [("SparseStructureFlowModel", 23_092_224), ("SceneSLatFlowModel", 34_641_920)]
)
def test_blocks_have_the_official_size(name: str, count: int) -> None:
    (file,) = [f for f in KEY_LISTS if name in f.name and "_img_dit_L" in f.name]
    official = json.loads(file.read_text())
    with WithoutStorage():
        network = build(name, official["kwargs"])
    assert sum(parameter.numel() for parameter in network.blocks[0].parameters()) == count


@pytest.mark.parametrize("name", CASES)
def test_a_written_network_reads_back_as_itself(name: str, tmp_path: Path) -> None:
    network = randomised(build(name, CASES[name]))
    write_network(network, tmp_path / "ckpts" / "net.v1")
    read = read_network(tmp_path / "ckpts" / "net.v1")
    assert type(read) is type(network)
    assert read.config == network.config
    torch.testing.assert_close(read.state_dict(), network.state_dict(), rtol=0, atol=0)
    assert not any(tensor.is_meta for tensor in (*read.parameters(), *read.buffers()))


def test_the_description_of_moge_reads_back_as_its_config() -> None:
    official = json.loads(next(f for f in KEY_LISTS if f.name.startswith("moge2")).read_text())
    with WithoutStorage():
        network = build(official["cls"], official["kwargs"])
    name, args = describe(network)
    assert entry(name).config(json.loads(json.dumps(args))) == network.config


def test_elastic_classes_are_the_plain_ones() -> None:
    assert entry("ElasticSLatFlowModel") is entry("SLatFlowModel")


def test_half_precision_weights_become_float32(tmp_path: Path) -> None:
    network = structure_base()
    write_network(network, tmp_path / "net", half=True)
    assert {value.dtype for value in load_file(tmp_path / "net.safetensors").values()} == {torch.float16}
    read = read_network(tmp_path / "net")
    assert {value.dtype for value in read.state_dict().values()} == {torch.float32}
    torch.testing.assert_close(read.state_dict(), network.state_dict(), rtol=1e-3, atol=1e-3)


def test_a_weight_that_half_precision_cannot_hold_is_named_instead_of_becoming_infinite(tmp_path: Path) -> None:
    network = structure_base()
    key, value = next((key, value) for key, value in network.state_dict().items() if value.is_floating_point())
    with pytest.raises(CheckpointError, match=f"{key} has values that half precision cannot hold"):
        write_network(network, tmp_path / "net", {key: value + 1e6}, half=True)


def test_every_key_that_does_not_fit_is_named_and_nothing_is_loaded() -> None:
    network = structure_base()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    state = {key: value + 1 for key, value in before.items()}
    state["extra.a"] = state.pop("input_layer.bias")
    state["extra.b"] = torch.zeros(1)
    state["out_layer.bias"] = torch.zeros(3)
    with pytest.raises(CheckpointError) as error:
        load_state(network, state, "here.pt")
    for part in ("here.pt", "1 missing: input_layer.bias", "2 unexpected: extra.a, extra.b", "out_layer.bias (3,)"):
        assert part in str(error.value)
    assert all(torch.equal(network.state_dict()[key], value) for key, value in before.items())


def test_unexpected_keys_can_be_accepted_but_missing_ones_never() -> None:
    network = structure_base()
    state = {**network.state_dict(), "extra": torch.zeros(1)}
    load_state(network, state, "here", ignore_unexpected=True)
    del state["out_layer.bias"]
    with pytest.raises(CheckpointError, match=r"out_layer\.bias"):
        load_state(network, state, "here", ignore_unexpected=True)


def test_a_bare_pt_needs_a_description_and_then_loads(tmp_path: Path) -> None:
    network = structure_base()
    torch.save(network.state_dict(), tmp_path / "denoiser_step0000100.pt")
    with pytest.raises(CheckpointError, match=r"denoiser_step0000100\.json"):
        read_network(tmp_path / "denoiser_step0000100.pt")
    read = read_network(tmp_path / "denoiser_step0000100.pt", description=Description(*describe(network)))
    torch.testing.assert_close(read.state_dict(), network.state_dict(), rtol=0, atol=0)


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    torch.save({"weight": Trap()}, tmp_path / "net.pt")
    with pytest.raises(CheckpointError, match="of another kind"):
        read_network(tmp_path / "net.pt")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", ["net.pt", "net.safetensors"])
def test_a_file_that_is_damaged_or_no_weights_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    write = save_file if file.suffix == ".safetensors" else torch.save
    write({"weight": torch.ones(1000)}, file)
    whole = file.read_bytes()
    for content in (whole[: len(whole) // 2], b"hello\n", b""):
        file.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"^[^\n]* cannot be read as weights [^\n]*$"):
            read_state(file)


def test_a_pt_of_something_else_is_refused(tmp_path: Path) -> None:
    torch.save(torch.ones(3), tmp_path / "net.pt")
    with pytest.raises(CheckpointError, match="not weights by their names"):
        read_state(tmp_path / "net.pt")


def test_a_moge_checkpoint_carries_its_own_config(tmp_path: Path) -> None:
    kwargs = {
        "encoder": {"backbone": "dinov2_vits14", "intermediate_layers": 2, "dim_out": 32},
        "neck": STACK,
        "mask_head": {**STACK, "dim_in": [32, 16, 8, 8, 8], "dim_out": [None, None, None, None, 1]},
    }
    network = build("MoGeModel", kwargs)
    torch.save({"model_config": kwargs, "model": network.state_dict()}, tmp_path / "model.pt")
    read = read_network(tmp_path / "model.pt")
    assert read.config == network.config
    assert read.points_head is None
    assert read.config.intermediate_layers == (10, 11)


def test_a_written_pipeline_reads_back_network_by_network(tmp_path: Path) -> None:
    networks = {"flow": structure_base(), "decoder": build("SparseStructureDecoder", CASES["SparseStructureDecoder"])}
    write_pipeline(tmp_path, "ThreeDFixerPipeline", networks, {"slat_normalization": {"mean": [0.0], "std": [1.0]}})
    read, args = read_pipeline(tmp_path)
    assert read.keys() == networks.keys()
    assert args == {"slat_normalization": {"mean": [0.0], "std": [1.0]}}
    only, _ = read_pipeline(tmp_path, names=("decoder",))
    assert list(only) == ["decoder"]
    with pytest.raises(CheckpointError, match=r"no networks \['mesh'\]"):
        read_pipeline(tmp_path, names=("mesh",))


def test_weights_that_are_nowhere_are_asked_for_by_name(tmp_path: Path, monkeypatch) -> None:
    with pytest.raises(CheckpointError, match=r"net\.safetensors or net\.pt"):
        read_network(tmp_path / "net")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(CheckpointError, match=r"huggingface\.co/some/repo/resolve/main/ckpts/net\.json"):
        read_network("some/repo/ckpts/net")
    with pytest.raises(CheckpointError, match="pip install huggingface_hub"):
        read_pipeline("some/repo")


def test_arguments_that_a_network_does_not_know_are_refused() -> None:
    with pytest.raises(ValueError, match="'widht'"):
        build("SparseStructureFlowModel", {**STRUCTURE, "num_blocks": 1, "widht": 3})
    with pytest.raises(ValueError, match="unknown network class"):
        build("SparseStructureFlowModle", {})
    with pytest.raises(ValueError, match="rope"):
        build("SparseStructureFlowModel", {**STRUCTURE, "num_blocks": 1, "pe_mode": "rope"})


def test_what_is_written_is_plain_json_and_contiguous_safetensors(tmp_path: Path) -> None:
    write_network(build("SLatFlowModel", CASES["SLatFlowModel"]), tmp_path / "net")
    content = json.loads((tmp_path / "net.json").read_text())
    assert content["name"] == "SLatFlowModel"
    assert content["args"]["io_block_channels"] == [16]
    assert "blocks.0.self_attn.to_qkv.weight" in load_file(tmp_path / "net.safetensors")
