"""What the condition of every control branch can do.

Shapes: B batch, M context tokens, C their width.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self

import torch
from torch import Tensor

from models.layers.attention import KeyValues

# Tokens [B, M, C] for all blocks, or what the attention of each block made of them.
Context = Tensor | tuple[KeyValues, ...]


@dataclass(frozen=True)
class Condition:
    """What steers a network; subclasses name the tensors. One that is only needed in training may be None."""

    def zeroed(self) -> Self:
        """The negative condition of classifier-free guidance: zeros everywhere."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return type(self)(**{name: None if x is None else torch.zeros_like(x) for name, x in values.items()})


def of_block(context: Context, block: int) -> Tensor | KeyValues:
    return context if isinstance(context, Tensor) else context[block]
