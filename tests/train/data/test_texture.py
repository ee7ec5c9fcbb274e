"""Texture samples: the voxels of the asset in its random pose lie where the scene's image and depth have the object."""

import numpy as np
import pytest
from tiny_shapes import grown

from pipelines.train.data.options import DataLocation, DataOptions
from pipelines.train.data.sources.texture import TextureSource

SIZE = 96


@pytest.mark.parametrize("tables", [{"latents": "tiny"}, {"extractor": "tiny"}])
def test_voxels_in_front_cover_the_mask_at_its_depth(tiny_data, tables):
    source = TextureSource(DataOptions((DataLocation(str(tiny_data)),), image_px=SIZE, **tables), "train", 0)
    for index in range(0, len(source), 3):
        sample = source.load(index, 0)
        T = np.linalg.inv(sample.T_world_cam.numpy()) @ sample.T_world_grid.numpy()
        camera = ((sample.coords_N3.numpy() + 0.5) / 64 - 0.5) @ T[:3, :3].T + T[:3, 3]
        pixel = camera @ sample.K_norm.numpy().T
        columns, rows = (pixel[:, :2] / pixel[:, 2:] * SIZE).astype(int).T
        inside = (columns >= 0) & (columns < SIZE) & (rows >= 0) & (rows < SIZE)
        columns, rows, depth = columns[inside], rows[inside], camera[inside, 2]
        voxel_m = np.cbrt(np.linalg.det(T[:3, :3])) / 64
        in_front = np.abs(sample.depth_SS.numpy()[rows, columns] - depth) < 2 * voxel_m
        seen = np.zeros((SIZE, SIZE), bool)
        seen[rows[in_front], columns[in_front]] = True
        mask = sample.images.scene_mask_SS.numpy() > 0
        assert (mask & ~grown(seen)).sum() <= 0.05 * mask.sum()
        assert (seen & mask).sum() > 0.6 * seen.sum()
    batch = source.collate([source.load(index, 0) for index in range(3)])
    assert batch.depth_BSS.shape == (3, SIZE, SIZE)
    assert len(batch.depths_USS) == len(batch.images.scenes_u8_U3SS)
