"""The gsplat adapter: antialiased rasterisation of Gaussians on CUDA.

Shapes: G Gaussians, H W image.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipelines.rendering.splats import SplatRender, Splats
from pipelines.rendering.view import View


def render_with_gsplat(splats: Splats, view: View, background_3: Tensor) -> SplatRender:
    """The same as `render_reference`. Raises ImportError without gsplat, ValueError for tensors off CUDA."""
    if not splats.xyz_G3.is_cuda:
        raise ValueError("gsplat draws CUDA tensors only; move the Gaussians to a GPU, or ask for backend='reference'")
    try:
        from gsplat import rasterization
    except ImportError as error:
        raise ImportError("Gaussians on CUDA are drawn by gsplat; install it: pip install 'fixer3d[cuda]'") from error
    width, height = view.size_px
    image_1HW4, alpha_1HW1, _ = rasterization(
        means=splats.xyz_G3.float(),
        quats=splats.rotation_G4.float(),
        scales=splats.scaling_G3.float(),
        opacities=splats.opacity_G.float(),
        colors=splats.colour_G3.float(),
        viewmats=view.T_cam_world.float()[None],
        Ks=view.K_px.float()[None],
        width=width,
        height=height,
        near_plane=view.near,
        eps2d=splats.kernel_px,
        rasterize_mode="antialiased",
        render_mode="RGB+ED",
    )
    alpha_HW, image_4HW = alpha_1HW1[0, ..., 0], image_1HW4[0].movedim(-1, 0)
    colour_3HW = image_4HW[:3] + (1 - alpha_HW) * background_3[:, None, None]
    return SplatRender(colour_3HW, alpha_HW, image_4HW[3].where(alpha_HW > 0, torch.nan))
