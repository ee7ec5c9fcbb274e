"""A Segment Anything network in the published layout, tiny and with random weights, for tests.

python tests/complete/tiny_sam.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

SIDE_PX = 128


def write_tiny_sam(folder: Path, seed: int = 0) -> Path:
    """The folder, with `config.json` and `model.safetensors`."""
    from transformers.models.sam import (
        SamConfig,
        SamMaskDecoderConfig,
        SamModel,
        SamPromptEncoderConfig,
        SamVisionConfig,
    )

    config = SamConfig(
        vision_config=SamVisionConfig(
            hidden_size=32,
            output_channels=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=SIDE_PX,
            window_size=2,
            global_attn_indexes=[1],
            num_pos_feats=16,
            initializer_range=0.1,
        ),
        prompt_encoder_config=SamPromptEncoderConfig(hidden_size=32, image_size=SIDE_PX, mask_input_channels=4),
        mask_decoder_config=SamMaskDecoderConfig(
            hidden_size=32, mlp_dim=64, num_attention_heads=2, iou_head_hidden_dim=32
        ),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        SamModel(config).save_pretrained(folder)
    return folder


if __name__ == "__main__":
    print(f"wrote {write_tiny_sam(Path(sys.argv[1]))}: random weights, never trained")  # noqa: T201
