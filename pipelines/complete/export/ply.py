"""Gaussians as a PLY in the layout of 3D Gaussian splatting, which its viewers read; y up, like the GLB.

Shapes: G Gaussians.
Source: 3D Gaussian Splatting (Kerbl et al. 2023): log scales, logit opacities, quaternions (w, x, y, z), and colour as
the constant term of spherical harmonics.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from models.gaussian_decoder import Gaussians
from pipelines.complete.export.scene import ROOT_QUATERNION_XYZW, T_GLTF_WORLD
from pipelines.complete.results import Completion

_POSITION = ("x", "y", "z", "nx", "ny", "nz")
_LOOK = ("f_dc_0", "f_dc_1", "f_dc_2", "opacity")
_EXTENT = ("scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3")
FIELDS = _POSITION + _LOOK + _EXTENT


def write_splats(path: Path, completion: Completion) -> int:
    """Writes the Gaussians of all completed instances; returns their number. Raises ValueError if none were decoded."""
    clouds = [splats(one.gaussians, one.T_world_obj) for one in completion.completed if one.gaussians is not None]
    if completion.completed and not clouds:
        raise ValueError("no Gaussians were decoded; complete with Settings(gaussians=True)")
    rows = np.concatenate([*clouds, np.zeros((0, len(FIELDS)), np.float32)])
    header = ["ply", "format binary_little_endian 1.0", f"comment {completion.checkpoint}"]
    header += [f"element vertex {len(rows)}", *(f"property float {name}" for name in FIELDS), "end_header"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("\n".join(header).encode() + b"\n" + rows.astype("<f4").tobytes())
    return len(rows)


def splats(gaussians: Gaussians, T_world_obj: np.ndarray) -> np.ndarray:
    """(G, 17) float32 rows in the order of `FIELDS`, placed in the world and rotated to y up.

    T_world_obj: a similarity without rotation.
    """
    scale = float(T_world_obj[0, 0])
    T = T_GLTF_WORLD @ T_world_obj
    xyz = gaussians.xyz_G3.numpy().astype(np.float64) @ T[:3, :3].T + T[:3, 3]
    opacity = np.clip(gaussians.opacity_G1.numpy().astype(np.float64), 1e-6, 1 - 1e-6)
    columns = [
        xyz,
        np.zeros_like(xyz),  # normals: in the layout, unused
        gaussians.raw_features_G13[:, 0].numpy(),
        np.log(opacity / (1 - opacity)),
        np.log(gaussians.scaling_G3.numpy().astype(np.float64) * scale),
        _rotated(gaussians.rotation_G4.numpy().astype(np.float64)),
    ]
    return np.concatenate(columns, axis=1).astype(np.float32)


def _rotated(wxyz_G4: np.ndarray) -> np.ndarray:
    """Each quaternion (w, x, y, z), followed by the rotation from z up to y up."""
    ax, ay, az, aw = ROOT_QUATERNION_XYZW
    w, x, y, z = wxyz_G4.T
    return np.stack(
        [
            aw * w - ax * x - ay * y - az * z,
            aw * x + ax * w + ay * z - az * y,
            aw * y - ax * z + ay * w + az * x,
            aw * z + ax * y - ay * x + az * w,
        ],
        axis=1,
    )
