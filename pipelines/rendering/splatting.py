"""Draw Gaussians: with gsplat on CUDA, with the reference rasteriser elsewhere.

Shapes: G Gaussians, H W image.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from pipelines.rendering.splats import SplatRender, Splats
from pipelines.rendering.splats_cuda import render_with_gsplat
from pipelines.rendering.splats_reference import render_reference
from pipelines.rendering.view import View

Backend = Literal["auto", "gsplat", "reference"]


def render_splats(
    splats: Splats, view: View, background_3: Tensor | float = 0.0, backend: Backend = "auto"
) -> SplatRender:
    """Draw Gaussians, with gradients to all of their values.

    background_3: colour behind them. backend "auto" is gsplat for CUDA tensors and the reference for CPU tensors; on
    CUDA the reference runs only when it is asked for by name.

    Raises ImportError if gsplat is needed and missing.
    """
    use_gsplat = splats.xyz_G3.is_cuda if backend == "auto" else backend == "gsplat"
    background = splats.colour_G3.new_zeros(3) + background_3
    draw = render_with_gsplat if use_gsplat else render_reference
    device = splats.xyz_G3.device
    with torch.autocast(device.type, enabled=False):
        return draw(splats, view.to(device), background)
