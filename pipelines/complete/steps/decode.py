"""Decode: structured latents → meshes and Gaussians, in the object's cube.

Shapes: B instances, N voxels of all, V vertices, F faces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np
import torch
from torch import Tensor

from models.flexicubes.extraction import Mesh
from models.gaussian_decoder import GaussianDecoder, Gaussians
from models.mesh_decoder import MeshDecoder
from models.sparse.voxels import SparseTensor
from pipelines.complete.results import ColouredMesh, InstanceFailure
from pipelines.complete.steps.texture import Latent, batched_voxels


def decode_meshes(
    decoder: MeshDecoder, latents: Sequence[Latent], device: torch.device
) -> list[ColouredMesh | InstanceFailure]:
    return [_coloured(mesh) for mesh in decoder(_batch(latents, device))]


def decode_gaussians(
    decoder: GaussianDecoder, latents: Sequence[Latent], device: torch.device
) -> list[Gaussians | InstanceFailure]:
    return [_on_cpu(gaussians) for gaussians in decoder(_batch(latents, device))]


def _batch(latents: Sequence[Latent], device: torch.device) -> SparseTensor:
    feats_NZ = torch.cat([latent.feats_NZ for latent in latents]).to(device)
    return SparseTensor(feats_NZ, batched_voxels([latent.voxels_N3 for latent in latents], device))


def _coloured(mesh: Mesh) -> ColouredMesh | InstanceFailure:
    if len(mesh.faces_F3) == 0:
        return InstanceFailure("the mesh decoder found no surface; another seed may help")
    if not bool(mesh.vertices_V3.isfinite().all()):
        return InstanceFailure(
            "the decoded mesh is not finite; check the checkpoint, or try fixer-complete --precision fp32"
        )
    colours = None if mesh.attributes_VA is None else _to_bytes(mesh.attributes_VA[:, :3])
    return ColouredMesh(mesh.vertices_V3.float().cpu().numpy(), mesh.faces_F3.cpu().numpy(), colours)


def _to_bytes(colour_V3: Tensor) -> np.ndarray:
    return (colour_V3.float().clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()


def _on_cpu(gaussians: Gaussians) -> Gaussians:
    raw = {f.name: getattr(gaussians, f.name) for f in fields(gaussians) if f.name.startswith("raw_")}
    return replace(gaussians, **{name: value.float().cpu() for name, value in raw.items()})
