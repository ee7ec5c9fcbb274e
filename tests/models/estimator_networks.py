"""Tiny depth estimators with random weights, saved in each official format, so that the real loading path is tested."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn


def write_depth_anything(folder: Path, estimation: str = "relative") -> Path:
    """The weights file of a Depth Anything V2 as the library saves it, with its two configs beside it."""
    pytest.importorskip("transformers")
    from transformers.models.depth_anything import DepthAnythingConfig, DepthAnythingForDepthEstimation
    from transformers.models.dinov2 import Dinov2Config

    torch.manual_seed(1)
    backbone = Dinov2Config(
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        image_size=70,
        patch_size=14,
        out_indices=[1, 2, 3, 4],
        reshape_hidden_states=False,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=16,
        neck_hidden_sizes=[4, 4, 8, 8],
        fusion_hidden_size=8,
        head_hidden_size=4,
        depth_estimation_type=estimation,
        max_depth=1 if estimation == "relative" else 20,
    )
    network = DepthAnythingForDepthEstimation(config)
    with torch.no_grad():  # random heads give nothing but zero after their ReLU
        network.head.conv3.weight.abs_()
        network.head.conv3.bias.fill_(0.2)
    network.save_pretrained(folder)
    processor = {
        "do_normalize": True,
        "do_pad": False,
        "do_rescale": True,
        "do_resize": True,
        "ensure_multiple_of": 14,
        "image_mean": [0.485, 0.456, 0.406],
        "image_processor_type": "DPTImageProcessor",
        "image_std": [0.229, 0.224, 0.225],
        "keep_aspect_ratio": True,
        "resample": 3,
        "rescale_factor": 1 / 255,
        "size": {"height": 70, "width": 70},
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder / "model.safetensors"


def write_depth_pro(folder: Path, with_focal: bool = True) -> Path:
    """The weights file of a Depth Pro as the library saves it, with its two configs beside it."""
    pytest.importorskip("transformers")
    from transformers.models.depth_pro import DepthProConfig, DepthProForDepthEstimation

    torch.manual_seed(2)
    encoder = {
        "model_type": "dinov2",
        "num_hidden_layers": 2,
        "hidden_size": 16,
        "num_attention_heads": 1,
        "patch_size": 4,
        "image_size": 16,
    }
    config = DepthProConfig(
        patch_size=16,
        fusion_hidden_size=16,
        intermediate_hook_ids=[1, 0],
        intermediate_feature_dims=[8, 8],
        scaled_images_ratios=[0.25, 0.5, 1],
        scaled_images_overlap_ratios=[0.0, 0.5, 0.25],
        scaled_images_feature_dims=[16, 16, 8],
        merge_padding_value=1,
        use_fov_model=with_focal,
        num_fov_head_layers=1,
        image_model_config=encoder,
        patch_model_config=encoder,
        fov_model_config=encoder,
    )
    network = DepthProForDepthEstimation(config)
    if with_focal:
        with torch.no_grad():
            network.fov_model.head.layers[-1].bias.fill_(60.0)
    network.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps({"size": {"height": 64, "width": 64}}))
    return folder / "model.safetensors"


def write_moge(folder: Path, **changes: object) -> Path:
    """A MoGe-2 as its authors save it: model.pt with `model_config` and `model`; the smallest backbone they name."""

    from models.registry import build

    def stack(dim_in: list[int], last: int | None, blocks: int) -> dict[str, object]:
        return {
            "dim_in": dim_in,
            "dim_out": [None, None, None, None, last] if last else None,
            "dim_res_blocks": [16, 8, 8, 8, 8],
            "num_res_blocks": [0, blocks, blocks, blocks, 0],
            "res_block_in_norm": "none",
            "res_block_hidden_norm": "none",
            "resamplers": ["conv_transpose", "conv_transpose", "conv_transpose", "bilinear"],
        }

    levels = [16, 8, 8, 8, 8]
    config = {
        "encoder": {"backbone": "dinov2_vits14", "intermediate_layers": 2, "dim_out": 16},
        "neck": stack([18, 2, 2, 2, 2], None, 1),
        "points_head": stack(levels, 3, 1),
        "mask_head": stack(levels, 1, 1),
        "scale_head": {"dims": [384, 8, 1]},
        "remap_output": "exp",
        "num_tokens_range": [16, 30],
        **changes,
    }
    torch.manual_seed(3)
    network = build("MoGeModel", config)
    with torch.no_grad():  # points near the plane z = 1 in front of the camera, three quarters of them trusted
        network.points_head.output_blocks[4].weight.mul_(0.3)
        _put_points_on_rays(network.eval())
        network.mask_head.output_blocks[4].weight.mul_(3)
        network.mask_head.output_blocks[4].bias.fill_(0.3)
        if network.scale_head is not None:
            network.scale_head[-1].weight.mul_(0.02)
    torch.save({"model_config": config, "model": network.half().state_dict()}, folder / "model.pt")
    return folder / "model.pt"


def _put_points_on_rays(network: nn.Module) -> None:
    """Fit the last layer of the points, because no camera explains those of random weights: at focal length 1, x y / z
    is the place on the view plane."""

    from models.moge import view_plane_uv

    last, inputs = network.points_head.output_blocks[4], []
    hook = last.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    network(torch.rand(4, 3, 60, 60))
    hook.remove()
    (x_BCHW,) = inputs
    uv_HW2 = view_plane_uv(x_BCHW.shape[3], x_BCHW.shape[2], 1.0).expand(len(x_BCHW), -1, -1, -1)
    features = torch.nn.functional.pad(x_BCHW.movedim(1, -1).flatten(0, 2), (0, 1), value=1.0)
    fitted = torch.linalg.lstsq(features, uv_HW2.flatten(0, 2)).solution
    last.weight[:2, :, 0, 0], last.bias[:2] = fitted[:-1].T, fitted[-1]
