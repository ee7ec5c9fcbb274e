"""Instance masks: their outline, where depth and colour are unreliable, and the confidence that follows.

Shapes: H W image.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

EDGE_CONFIDENCE = 0.5


def ellipse_kernel(size: int = 7) -> Tensor:
    """[size, size] bool: rows of an ellipse, their half widths rounded to pixels."""
    radius = size // 2
    row = torch.arange(size) - radius
    half_width = (radius**2 - row**2).clamp(min=0).double().sqrt().round()
    return row.abs()[None, :] <= half_width[:, None]


def dilate(mask_HW: Tensor, kernel: Tensor, iterations: int = 1) -> Tensor:
    """Binary dilation; nothing comes in from outside the image."""
    weight = kernel.float()[None, None]
    grown = mask_HW.float()[None, None]
    for _ in range(iterations):
        grown = (F.conv2d(grown, weight, padding=kernel.shape[0] // 2) > 0).float()
    return grown[0, 0].bool()


def erode(mask_HW: Tensor, kernel: Tensor, iterations: int = 1) -> Tensor:
    """Binary erosion; outside the image counts as empty."""
    weight = kernel.float()[None, None]
    shrunk = mask_HW.float()[None, None]
    for _ in range(iterations):
        shrunk = (F.conv2d(shrunk, weight, padding=kernel.shape[0] // 2) >= weight.sum()).float()
    return shrunk[0, 0].bool()


def edge_mask(mask_HW: Tensor, kernel_size: int = 7, iterations: int = 2) -> Tensor:
    """[H, W] bool: dilation minus erosion."""
    kernel = ellipse_kernel(kernel_size).to(mask_HW.device)
    mask = mask_HW.bool()
    return dilate(mask, kernel, iterations) & ~erode(mask, kernel, iterations)


def confidence(mask_HW: Tensor) -> Tensor:
    """[H, W] float: 1 inside the object, 0.5 on its outline (both sides of it), 0 elsewhere."""
    edge = edge_mask(mask_HW)
    return (mask_HW.bool() & ~edge).float() + EDGE_CONFIDENCE * edge.float()
