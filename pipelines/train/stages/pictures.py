"""Pictures for snapshots: voxels in parallel projection, images, and tables of both.

Shapes: B samples, R grid edge, V occupied voxels, H W picture, S crop edge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

CELL_PX = 160
_GAP_PX, _CAPTION_PX = 6, 16
_NEIGHBOURHOOD = 2  # voxels to each side from which the normal of a surface is estimated
_AZIMUTH_RAD, _ELEVATION_RAD = 0.6, 0.45
_LIGHT = np.array([0.5, -0.35, 0.8])
_DARKEST, _LIGHTEST = np.array([46.0, 66.0, 102.0]), np.array([222.0, 232.0, 246.0])


def voxel_picture(occupancy_RRR: np.ndarray, size_px: int = CELL_PX) -> np.ndarray:
    """[H, W, 3] uint8: the occupied voxels in parallel projection, obliquely from above (z up), on white.

    Each voxel is a square of about its projected size, shaded by the surface normal; nearer voxels cover those behind.
    """
    picture = np.full((size_px, size_px, 3), 255, np.uint8)
    index_V3 = np.argwhere(occupancy_RRR)
    right, up, towards = _view_axes()
    centre_V3 = (index_V3 + 0.5) / len(occupancy_RRR) - 0.5
    far_to_near = np.argsort(centre_V3 @ towards, kind="stable")
    centre_V3, index_V3 = centre_V3[far_to_near], index_V3[far_to_near]
    scale = size_px / 1.4  # nearly the diagonal of the cube; objects do not reach its corners
    edge = int(np.ceil(1.3 * scale / len(occupancy_RRR)))
    rows, columns = np.meshgrid(np.arange(edge), np.arange(edge), indexing="ij")
    row = (size_px / 2 - scale * (centre_V3 @ up)).astype(int)[:, None] + rows.reshape(1, -1) - edge // 2
    column = (size_px / 2 + scale * (centre_V3 @ right)).astype(int)[:, None] + columns.reshape(1, -1) - edge // 2
    colour_V3 = _shaded(occupancy_RRR, index_V3)
    # Of several values for one pixel NumPy keeps the last, which is the nearest.
    picture[row.clip(0, size_px - 1), column.clip(0, size_px - 1)] = colour_V3[:, None]
    return picture


def table_of_pictures(captions: Sequence[str], rows: Sequence[Sequence[np.ndarray]]) -> Image.Image:
    """Pictures of equal size in rows and columns, with a caption over each column."""
    height, width = rows[0][0].shape[:2]
    step_x, step_y = width + _GAP_PX, height + _GAP_PX
    table = Image.new("RGB", (len(captions) * step_x + _GAP_PX, len(rows) * step_y + _CAPTION_PX), "white")
    draw = ImageDraw.Draw(table)
    for j, caption in enumerate(captions):
        draw.text((j * step_x + _GAP_PX, 2), caption, fill="black")
        for i, row in enumerate(rows):
            table.paste(Image.fromarray(row[j]), (j * step_x + _GAP_PX, i * step_y + _CAPTION_PX))
    return table


def voxel_table(grids: Mapping[str, Tensor], images: Mapping[str, Tensor] | None = None) -> Image.Image:
    """A table with a row for each object: its images (see `image_picture`), then its grids.

    images: [B, 3 or 4, S, S] by caption. grids: [B, 1, R, R, R] by caption; voxels above 0 are occupied.
    """
    images = images or {}
    count = len(next(iter(grids.values())))
    rows = [
        [image_picture(image[b]) for image in images.values()]
        + [voxel_picture((grid[b, 0] > 0).cpu().numpy()) for grid in grids.values()]
        for b in range(count)
    ]
    return table_of_pictures((*images, *grids), rows)


def image_picture(image_4SS: Tensor, size_px: int = CELL_PX) -> np.ndarray:
    """[H, W, 3] uint8: an RGB image in [0, 1], darkened outside the mask if there is a fourth channel."""
    rgb = image_4SS[:3] * (0.35 + 0.65 * image_4SS[3:]) if len(image_4SS) == 4 else image_4SS
    pixels = (rgb.float().clamp(0, 1) * 255).byte().permute(1, 2, 0).cpu().numpy()
    return np.asarray(Image.fromarray(pixels).resize((size_px, size_px), Image.Resampling.BILINEAR))


def _view_axes() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit vectors in the cube: to the right, up in the picture, and towards the viewer."""
    cos_a, sin_a, cos_e, sin_e = (f(x) for x in (_AZIMUTH_RAD, _ELEVATION_RAD) for f in (np.cos, np.sin))
    right = np.array([cos_a, sin_a, 0.0])
    towards = np.array([sin_a * cos_e, -cos_a * cos_e, sin_e])
    return right, np.cross(towards, right), towards


def _shaded(occupancy_RRR: np.ndarray, index_V3: np.ndarray) -> np.ndarray:
    """[V, 3] uint8: the colours of voxels, shaded by their normals.

    A voxel's normal is the direction in which its occupied neighbours spread least, so that sheets of one voxel have a
    normal, too. Its sign does not matter, since both sides are lit.
    """
    padded = np.pad(occupancy_RRR.astype(np.float64), _NEIGHBOURHOOD)
    offset_K3 = np.stack(np.meshgrid(*[np.arange(-_NEIGHBOURHOOD, _NEIGHBOURHOOD + 1)] * 3), axis=-1).reshape(-1, 3)
    full_VK = np.stack([padded[tuple((index_V3 + offset + _NEIGHBOURHOOD).T)] for offset in offset_K3], axis=1)
    weight_VK = full_VK / full_VK.sum(1, keepdims=True)
    mean_V3 = weight_VK @ offset_K3
    square_V33 = (weight_VK @ (offset_K3[:, :, None] * offset_K3[:, None]).reshape(-1, 9)).reshape(-1, 3, 3)
    _, axes_V33 = np.linalg.eigh(square_V33 - mean_V3[:, :, None] * mean_V3[:, None])
    facing_V1 = np.abs(axes_V33[:, :, 0] @ _LIGHT)[:, None] / np.linalg.norm(_LIGHT)
    return (_DARKEST + facing_V1 * (_LIGHTEST - _DARKEST)).astype(np.uint8)
