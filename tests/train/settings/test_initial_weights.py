"""Networks of released pipelines are found under the names that stages use."""

import json

import pytest

from models.checkpoints import CheckpointError
from pipelines.errors import UsageError
from pipelines.train.settings.initial_weights import initial_pipeline


def pipeline(folder, models, files=(), **args):
    (folder / "ckpts").mkdir()
    for name in (*models.values(), *files):
        (folder / f"{name}.safetensors").write_bytes(b"")
    (folder / "pipeline.json").write_text(json.dumps({"name": "Any", "args": {"models": models, **args}}))
    return str(folder)


def test_trellis_brings_its_decoders_flows_statistics_and_the_encoders_that_lie_beside(tmp_path):
    models = {
        "sparse_structure_decoder": "ckpts/ss_dec_conv3d_16l8_fp16",
        "sparse_structure_flow_model": "ckpts/ss_flow_img_dit_L_16l8_fp16",
        "slat_decoder_gs": "ckpts/slat_dec_gs_swin8_B_64l8gs32_fp16",
        "slat_decoder_rf": "ckpts/slat_dec_rf_swin8_B_64l8r16_fp16",
        "slat_flow_model": "ckpts/slat_flow_img_dit_L_64l8p2_fp16",
    }
    beside = ("ckpts/ss_enc_conv3d_16l8_fp16", "ckpts/slat_enc_swin8_B_64l8_fp16")
    statistics = {"mean": [0.0] * 8, "std": [1.0] * 8}
    given = initial_pipeline(pipeline(tmp_path, models, beside, slat_normalization=statistics))
    assert set(given.weights) == {
        "structure_encoder",
        "structure_decoder",
        "structure_flow",
        "slat_encoder",
        "gaussian_decoder",
        "slat_flow",
    }
    assert given.facts == {"slat_vae": {"slat_normalization": statistics}}


def test_branches_are_told_apart_by_their_files_whatever_their_keys(tmp_path):
    stems = {
        "a": "scene_ss_coarse_flow_img_dit_L_16l8_fp16",
        "b": "scene_ss_fine_flow_img_dit_L_16l8_fp16",
        "c": "scene_slat_flow_img_dit_L_64l8p2_fp16",
    }
    given = initial_pipeline(pipeline(tmp_path, {key: f"ckpts/{stem}" for key, stem in stems.items()}))
    assert {name: place.name for name, place in given.weights.items()} == {
        "coarse_completer": stems["a"],
        "fine_completer": stems["b"],
        "texturer": stems["c"],
    }


def test_a_folder_without_a_pipeline_or_without_our_networks_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"pipeline\.json"):
        initial_pipeline(str(tmp_path))
    with pytest.raises(UsageError, match="something"):
        initial_pipeline(pipeline(tmp_path, {"something": "ckpts/else"}))
