"""Estimated depth on the scale of a reference.

Shapes: H W image.
"""

from __future__ import annotations

from torch import Tensor


def align_scale(estimate_HW: Tensor, reference_HW: Tensor, mask_HW: Tensor) -> tuple[Tensor, Tensor]:
    """The estimate times its least-squares scale on the mask, and that scale. No shift.

    Raises ValueError if the mask is empty or the estimate is zero on it.
    """
    estimate, reference = estimate_HW[mask_HW.bool()], reference_HW[mask_HW.bool()]
    energy = estimate.square().sum()
    if not energy > 0:
        raise ValueError("no valid depth under the mask to align; check the mask and the estimate")
    scale = (estimate * reference).sum() / energy
    return estimate_HW * scale, scale
