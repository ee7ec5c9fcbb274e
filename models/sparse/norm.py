"""Group normalisation of sparse tensors.

Shapes: N voxels, B batch items, G groups, c channels per group.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.sparse.voxels import SparseTensor


class SparseGroupNorm32(nn.GroupNorm):
    """GroupNorm per batch item over (voxels x channels of a group), in float32, for all items at once."""

    def forward(self, x: SparseTensor) -> SparseTensor:  # type: ignore[override]  # sparse where PyTorch's is dense
        voxels = x.voxels
        feats_NGc = x.feats.float().unflatten(1, (self.num_groups, -1))
        count_B = torch.tensor(voxels.lengths, dtype=torch.float32, device=x.feats.device) * feats_NGc.shape[-1]

        def item_mean(value_NG: Tensor) -> Tensor:
            total_BG = value_NG.new_zeros(voxels.batch_size, self.num_groups).index_add(0, voxels.batch_N, value_NG)
            return (total_BG / count_B.clamp(min=1)[:, None])[voxels.batch_N]

        centred_NGc = feats_NGc - item_mean(feats_NGc.sum(-1))[..., None]
        variance_NG = item_mean(centred_NGc.square().sum(-1))
        normalised = (centred_NGc * (variance_NG + self.eps).rsqrt()[..., None]).flatten(1)
        return x.replace((normalised * self.weight.float() + self.bias.float()).to(x.feats.dtype))
