"""DINOv2's weights in either of the layouts they are published in: the authors' own, or the transformers library's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from models.checkpoints import DEFAULT_RUNTIME, CheckpointError, Runtime, load_state, read_state
from models.dinov2 import DinoConfig, DinoVisionTransformer
from models.weights import WithoutStorage

_QKV = ("query", "key", "value")
_RENAMED = {
    r"^embeddings\.(cls_token|mask_token|register_tokens)$": r"\1",
    r"^embeddings\.position_embeddings$": "pos_embed",
    r"^embeddings\.patch_embeddings\.projection\.": "patch_embed.proj.",
    r"^layernorm\.": "norm.",
    r"^encoder\.layer\.(\d+)\.attention\.attention\.": r"blocks.\1.attn.",
    r"^encoder\.layer\.(\d+)\.attention\.output\.dense\.": r"blocks.\1.attn.proj.",
    r"^encoder\.layer\.(\d+)\.layer_scale(\d)\.lambda1$": r"blocks.\1.ls\2.gamma",
    r"^encoder\.layer\.(\d+)\.": r"blocks.\1.",
}


def read_dinov2(file: Path, config: DinoConfig, runtime: Runtime = DEFAULT_RUNTIME) -> DinoVisionTransformer:
    """The network with the weights of a .pth or .safetensors file, every one of them, in eval mode.

    Raises CheckpointError if there is no such file, or it is not this network's.
    """
    if not file.is_file():
        raise CheckpointError(f"there is no file {file}; give the weights of DINOv2 (.pth or .safetensors)")
    state, _ = read_state(file)
    if "embeddings.cls_token" in state:
        state = from_transformers(state)
    with WithoutStorage():
        network = DinoVisionTransformer(config, runtime.execution)
    load_state(network, state, str(file), device=runtime.device)
    return network.eval()


def from_transformers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The library's tensors under the authors' names; query, key and value become one matrix.

    Names that are not the library's are kept, so that loading can tell of them.
    """
    renamed: dict[str, Tensor] = {}
    for key, value in state.items():
        for pattern, name in _RENAMED.items():
            if re.match(pattern, key):
                key = re.sub(pattern, name, key)
                break
        renamed[key] = value
    first = f".attn.{_QKV[0]}."
    for key in [key for key in renamed if first in key]:
        parts = [renamed.pop(key.replace(first, f".attn.{part}.")) for part in _QKV]
        renamed[key.replace(first, ".attn.qkv.")] = torch.cat(parts)
    return renamed
