"""Voxels as an image: small cubes seen obliquely from above, with a brightness for each of their sides."""

import numpy as np

from scenegen.contract.objects import GRID

_FORWARD = np.array([-1.0, 1.0, -0.75]) / np.linalg.norm([-1.0, 1.0, -0.75])
_RIGHT = np.array([1.0, 1.0, 0.0]) / np.sqrt(2)
_UP = np.cross(_RIGHT, _FORWARD)
_SIDES = ((0, 1, 0.8), (1, 0, 0.62), (2, 1, 1.0))  # axis, which end of it, brightness: the sides that face the viewer
_WIDTH = np.abs(np.array([_RIGHT, _UP])).sum(axis=1).max()  # of the unit cube on the screen


def voxel_picture(voxels_N3: np.ndarray, colours_N3: np.ndarray, size_px: int) -> np.ndarray:
    """(size, size, 3) uint8 image of voxels of the 64^3 grid, z up, on black. colours_N3: uint8, one for each voxel."""
    pixels_per_voxel = size_px / (_WIDTH * GRID)
    steps = int(np.ceil(1.5 * pixels_per_voxel))  # points along a side, so that none leaves a gap
    inside = (np.arange(steps) + 0.5) / steps
    places, colours = [], []
    for axis, end, brightness in _SIDES:
        others = [other for other in range(3) if other != axis]
        side = np.full((steps * steps, 3), float(end))
        side[:, others] = np.stack(np.meshgrid(inside, inside), axis=-1).reshape(-1, 2)
        places.append((voxels_N3[:, None] + side).reshape(-1, 3))
        colours.append(np.repeat(colours_N3 * brightness, len(side), axis=0))
    points = np.concatenate(places) / GRID - 0.5
    order = np.argsort(-(points @ _FORWARD), kind="stable")  # far ones first, so that near ones lie over them
    columns = ((points @ _RIGHT / _WIDTH + 0.5) * size_px).astype(int)
    rows = ((0.5 - points @ _UP / _WIDTH) * size_px).astype(int)
    picture = np.zeros((size_px, size_px, 3), np.uint8)
    picture[rows[order], columns[order]] = np.concatenate(colours)[order].astype(np.uint8)
    return picture


class PrincipalColours:
    """Maps features to colours by their three principal components, which are fitted to samples once."""

    def __init__(self, samples_MC: np.ndarray) -> None:
        samples = samples_MC.astype(np.float32)
        self._mean = samples.mean(axis=0)
        _, _, directions = np.linalg.svd(samples - self._mean, full_matrices=False)
        self._directions = directions[:3]
        self._low, self._high = np.percentile((samples - self._mean) @ self._directions.T, [2, 98], axis=0)

    def __call__(self, feats_NC: np.ndarray) -> np.ndarray:
        """(N, C) features to (N, 3) uint8 colours, bright enough to be visible on black."""
        along = (feats_NC.astype(np.float32) - self._mean) @ self._directions.T
        share = np.clip((along - self._low) / np.maximum(self._high - self._low, 1e-6), 0, 1)
        return (60 + 195 * share).astype(np.uint8)
