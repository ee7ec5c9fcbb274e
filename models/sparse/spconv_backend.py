"""Adapter to spconv 2.x (the default on CUDA). Imported only when that backend is used.

Shapes: N voxels, I input channels, O output channels.
"""

from __future__ import annotations

from functools import lru_cache

import spconv.pytorch as spconv
import torch
from torch import Tensor

from models.sparse.voxels import VoxelSet, grid_extent


def spconv_conv(feats_NI: Tensor, weight: Tensor, bias_O: Tensor, voxels: VoxelSet) -> Tensor:
    """Submanifold 3x3x3 convolution by spconv, with its index pairs kept on the voxel set.

    bfloat16 is computed in float32, because spconv has no bfloat16 convolution; float16 is native.

    Raises ValueError on the CPU with more than one thread (spconv's CPU kernel races and returns wrong values) or
    with gradients (its CPU backward pass asks for a CUDA stream).
    """
    # spconv records what the backward pass needs only in training mode, and frozen networks in eval mode still have
    # to pass gradients on to whatever feeds them: so the mode follows autograd, not the network.
    needs_grad = torch.is_grad_enabled() and (feats_NI.requires_grad or weight.requires_grad)
    if not feats_NI.is_cuda:
        _check_cpu_use(needs_grad)
    key = "subm3_train" if needs_grad else "subm3"
    layer = _template(weight.shape[-1], weight.shape[0], key).train(needs_grad)
    out_dtype = feats_NI.dtype
    if out_dtype == torch.bfloat16:
        feats_NI, weight, bias_O = feats_NI.float(), weight.float(), bias_O.float()
    if "spconv_shape" not in voxels.backend_cache:
        voxels.backend_cache["spconv_shape"] = grid_extent(voxels.coords_N4).tolist()
    x = spconv.SparseConvTensor(
        feats_NI.contiguous(),
        voxels.coords_N4.contiguous(),
        voxels.backend_cache["spconv_shape"],
        voxels.batch_size,
        indice_dict=voxels.backend_cache.get("spconv_pairs"),
    )
    out = torch.func.functional_call(layer, {"weight": weight.contiguous()}, (x,))
    voxels.backend_cache["spconv_pairs"] = out.indice_dict
    return (out.features + bias_O).to(out_dtype)


def _check_cpu_use(needs_grad: bool) -> None:
    if torch.get_num_threads() > 1:
        raise ValueError(
            "spconv's CPU convolution is wrong with more than one thread; call torch.set_num_threads(1), "
            "or use sparse_conv='reference'"
        )
    if needs_grad:
        raise ValueError(
            "spconv has no backward pass on the CPU; use sparse_conv='reference' to train, or torch.no_grad() to infer"
        )


@lru_cache
def _template(in_channels: int, out_channels: int, key: str) -> spconv.SubMConv3d:
    """A layer whose weight is the caller's, call by call; without bias, because its CPU kernel has none."""
    with torch.device("meta"):
        return spconv.SubMConv3d(in_channels, out_channels, 3, bias=False, indice_key=key)
