"""Occlusion-robust feature alignment: the student's tokens should point where the teacher's do.

Shapes: B batch items, L or N tokens, C channels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def alignment_per_item(student: Tensor, teacher: Tensor, tokens_per_item: tuple[int, ...] | None) -> Tensor:
    """[B]: minus the cosine similarity averaged over the tokens of each batch item, in float32.

    Dense tokens are [B, L, C] with `tokens_per_item` None; sparse ones [N, C] with the number of rows per item.
    An item without tokens gets 0.
    """
    with torch.autocast(student.device.type, enabled=False):
        unit_student = F.normalize(student.float(), dim=-1, eps=1e-6)
        unit_teacher = F.normalize(teacher.float(), dim=-1, eps=1e-6)
        cosine = (unit_student * unit_teacher).sum(-1)
    if tokens_per_item is None:
        return -cosine.mean(1)
    return torch.stack([-part.sum() / max(len(part), 1) for part in cosine.split(tokens_per_item)])
