"""Pixels with depth to points."""

import numpy as np


def points_of_pixels(
    rows: np.ndarray, columns: np.ndarray, depth: np.ndarray, K_px: np.ndarray, T: np.ndarray
) -> np.ndarray:
    """(N, 3) float64 points that pixels show at their centres, in the frame to which T (4, 4) takes the camera's.

    rows, columns: (N,). depth: (N,) planar, in the units of T. K_px: the centre of the first pixel is (0.5, 0.5).
    """
    pixels = np.stack([columns + 0.5, rows + 0.5, np.ones(len(rows))], axis=-1)
    in_camera = pixels @ np.linalg.inv(K_px).T * depth.astype(np.float64)[:, None]
    return in_camera @ T[:3, :3].T + T[:3, 3]
