"""What the condition of every control branch can do."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self

import torch


@dataclass(frozen=True)
class Condition:
    """Tensors that steer a network; subclasses name them. A tensor that is only needed in training may be None."""

    def zeroed(self) -> Self:
        """The negative condition of classifier-free guidance: zeros everywhere."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return type(self)(**{name: None if x is None else torch.zeros_like(x) for name, x in values.items()})
