"""Differentiable pictures of meshes and Gaussians, on the CPU and on CUDA."""

from pipelines.rendering.mesh import MeshRender, render_mesh
from pipelines.rendering.splats import SplatRender, Splats
from pipelines.rendering.splatting import render_splats
from pipelines.rendering.view import View

__all__ = ["MeshRender", "SplatRender", "Splats", "View", "render_mesh", "render_splats"]
