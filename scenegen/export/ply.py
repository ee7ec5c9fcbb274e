"""Meshes and points as binary PLY files."""

import numpy as np


def ply(
    vertices: np.ndarray,
    faces: np.ndarray | None = None,
    normals: np.ndarray | None = None,
    colours: np.ndarray | None = None,
) -> bytes:
    """A PLY file of (V, 3) float32 vertices, (F, 3) int32 faces, (V, 3) normals and (V, 3) uint8 sRGB colours."""
    columns = [(name, "<f4", vertices[:, i]) for i, name in enumerate("xyz")]
    if normals is not None:
        columns += [(f"n{name}", "<f4", normals[:, i]) for i, name in enumerate("xyz")]
    if colours is not None:
        columns += [(name, "u1", colours[:, i]) for i, name in enumerate(("red", "green", "blue"))]
    rows = np.empty(len(vertices), [(name, kind) for name, kind, _ in columns])
    for name, _, values in columns:
        rows[name] = values
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(vertices)}"]
    header += [f"property {'uchar' if kind == 'u1' else 'float'} {name}" for name, kind, _ in columns]
    body = rows.tobytes()
    if faces is not None:
        header += [f"element face {len(faces)}", "property list uchar int vertex_indices"]
        triangles = np.empty(len(faces), [("corners", "u1"), ("indices", "<i4", 3)])
        triangles["corners"], triangles["indices"] = 3, faces
        body += triangles.tobytes()
    return "\n".join([*header, "end_header", ""]).encode() + body
