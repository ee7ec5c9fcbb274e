"""Clips meshes to the camera frustum, as the script of the Gen3DSR test set does.

Only the four side planes cut; there is no near and no far plane, and cuts stay open. Camera frame: x right, y down,
z forward. Shapes: V vertices, F faces, 4 planes.
"""

from __future__ import annotations

import numpy as np
import trimesh


def side_planes(K_px: np.ndarray, size_px: tuple[int, int]) -> np.ndarray:
    """(4, 6): a point on the plane (the camera centre) and the unit normal that points into the frustum.

    size_px: (width, height); the frame's edges are the outer edges of the pixels. Order: left, right, top, bottom.
    """
    width, height = size_px
    focal_x, focal_y, centre_x, centre_y = K_px[0, 0], K_px[1, 1], K_px[0, 2], K_px[1, 2]
    normals_43 = np.array(
        [
            [focal_x, 0, centre_x],
            [-focal_x, 0, width - centre_x],
            [0, focal_y, centre_y],
            [0, -focal_y, height - centre_y],
        ]
    )
    normals_43 /= np.linalg.norm(normals_43, axis=1, keepdims=True)
    return np.concatenate([np.zeros((4, 3)), normals_43], axis=1)


def clip_to_frustum(
    vertices_V3: np.ndarray, faces_F3: np.ndarray, K_px: np.ndarray, size_px: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and faces of the part of a mesh inside the frustum, in camera coordinates; both may be empty."""
    vertices, faces = vertices_V3.astype(np.float64), faces_F3
    for plane in side_planes(K_px, size_px):
        if not len(faces):
            break
        vertices, faces, _ = trimesh.intersections.slice_faces_plane(
            vertices, faces, plane_normal=plane[3:], plane_origin=plane[:3]
        )
    return vertices, faces


def points_inside(points_N3: np.ndarray, K_px: np.ndarray, size_px: tuple[int, int]) -> np.ndarray:
    """(N,) bool: whether points in camera coordinates are inside the frustum."""
    planes = side_planes(K_px, size_px)
    return (points_N3 @ planes[:, 3:].T >= 0).all(axis=1)
