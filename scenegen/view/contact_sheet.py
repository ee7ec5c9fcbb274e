"""Many views in one image: RGB large, depth, ids and normals small beside it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from scenegen.contract.dataset import Dataset
from scenegen.contract.records import View
from scenegen.view import colours


def write_contact_sheet(dataset: Dataset, path: Path, views: Sequence[int], columns: int, tile_px: int) -> None:
    """Write the chosen views as one image (the suffix of `path` is its format), `columns` tiles a row."""
    tiles = [_tile(dataset.view(number), tile_px) for number in views]
    blank = np.zeros_like(tiles[0])
    rows = [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
    rows[-1] += [blank] * (columns - len(rows[-1]))
    sheet = np.concatenate([np.concatenate(row, axis=1) for row in rows])
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet).save(path, quality=85)


def _tile(view: View, tile_px: int) -> np.ndarray:
    """(tile_px, tile_px * 4 / 3, 3): the RGB image, and three small images in a column at its right."""
    assert view.rgb is not None and view.depth_m is not None
    assert view.instance_id is not None and view.normal_cam is not None
    small = tile_px // 3
    others = (
        colours.depth_picture(view.depth_m),
        colours.id_picture(view.instance_id),
        colours.normal_picture(view.normal_cam),
    )
    column = np.concatenate([_resize(picture, small) for picture in others])
    return np.concatenate([_resize(view.rgb, 3 * small), column], axis=1)


def _resize(picture: np.ndarray, size_px: int) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).resize((size_px, size_px), Image.Resampling.LANCZOS))
