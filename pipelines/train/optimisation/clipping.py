"""How long a gradient may be: a fixed norm, and later what is usual for this run.

The history stays on the device, so that clipping never waits for it.
"""

from __future__ import annotations

import torch
from torch import Tensor


class AdaptiveClip:
    """The limit is `max_norm`; after `window` steps, also the `quantile` of the norms of the last `window` steps.

    (Spec 5.1: norm 1, 95th percentile of the last 1000.) quantile None: the fixed limit alone.

    norms: float32 [window], a ring. count: int64, norms ever recorded; those that are not finite are not.
    """

    def __init__(self, max_norm: float, quantile: float | None, window: int, device: torch.device) -> None:
        self._max_norm, self._quantile, self._window = max_norm, quantile, window
        self.norms = torch.zeros(window, device=device)
        self.count = torch.zeros((), dtype=torch.int64, device=device)
        self._places = torch.arange(window, device=device)

    def limit(self) -> Tensor:
        """The largest norm that the next gradient may have."""
        fixed = torch.full_like(self.norms[0], self._max_norm)
        if self._quantile is None:
            return fixed
        usual = torch.quantile(self.norms, self._quantile)
        return torch.where(self.count >= self._window, torch.minimum(usual, fixed), fixed)

    def record(self, norm: Tensor, finite: Tensor) -> None:
        """Remember the norm of a gradient before it was clipped, if it is finite."""
        here = (self._places == self.count % self._window) & finite
        self.norms = torch.where(here, norm.to(self.norms.dtype), self.norms)
        self.count = self.count + finite
