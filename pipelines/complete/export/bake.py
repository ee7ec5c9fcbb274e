"""Texture baking: charts for a mesh, and the texture that a colour field gives them.

Shapes: V vertices, F faces, S texture edge, P texels.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from scipy import ndimage

from pipelines.complete.export.colour_field import ColourField
from pipelines.complete.export.scene import SceneObject, Texture
from pipelines.errors import PipelineError
from pipelines.rendering.mesh import render_mesh
from pipelines.rendering.view import View


def textured(thing: SceneObject, field: ColourField, size: int) -> SceneObject:
    """The same surface with charts and a texture of edge `size` instead of vertex colours.

    Vertices on the seams of charts are duplicated. Raises PipelineError if xatlas, which makes the charts, is missing.
    """
    try:
        import xatlas
    except ImportError as error:
        raise PipelineError("--texture needs xatlas; pip install 'fixer3d[export]'") from error
    atlas = xatlas.Atlas()
    atlas.add_mesh(thing.vertices_V3, thing.faces_F3.astype(np.uint32))
    packing = xatlas.PackOptions()
    packing.resolution, packing.padding = size, 2
    atlas.generate(pack_options=packing)
    origin_V, faces_F3, uv_V2 = atlas[0]
    vertices_V3 = thing.vertices_V3[origin_V]
    return replace(
        thing,
        vertices_V3=vertices_V3,
        normals_V3=thing.normals_V3[origin_V],
        faces_F3=faces_F3.astype(np.int64),
        colours_V3=None,
        texture=Texture(uv_V2, bake(vertices_V3, faces_F3, uv_V2, field, size)),
    )


def bake(vertices_V3: np.ndarray, faces_F3: np.ndarray, uv_V2: np.ndarray, field: ColourField, size: int) -> np.ndarray:
    """(S, S, 3) uint8: the field's colour at each texel of a chart; texels outside the charts repeat the nearest one.

    The charts are drawn as a flat mesh at depth 1 in front of a camera that sees exactly the unit square.
    """
    flat_V3 = np.concatenate([uv_V2, np.ones((len(uv_V2), 1))], axis=1).astype(np.float32)
    view = View(torch.eye(4), torch.eye(3), (size, size))
    faces = torch.from_numpy(faces_F3.astype(np.int64))
    drawn = render_mesh(torch.from_numpy(flat_V3), faces, view, torch.from_numpy(vertices_V3))
    assert drawn.attributes_AHW is not None  # they were given
    covered_SS = drawn.mask_HW.numpy() >= 1
    if not covered_SS.any():
        return np.zeros((size, size, 3), np.uint8)
    texture_SS3 = np.zeros((size, size, 3), np.uint8)
    texture_SS3[covered_SS] = field(drawn.attributes_AHW.permute(1, 2, 0).numpy()[covered_SS])
    nearest = ndimage.distance_transform_edt(~covered_SS, return_distances=False, return_indices=True)
    return texture_SS3[tuple(nearest)]
