"""Mesh simplification. FlexiCubes on 256^3 makes some hundred thousand faces; viewers and texture charts want fewer.

Shapes: V vertices, F faces; v, f after simplification.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipelines.complete.export.colour_field import ColourField
from pipelines.complete.export.scene import SceneObject, vertex_normals
from pipelines.errors import PipelineError


def simplified(thing: SceneObject, max_faces: int, field: ColourField) -> SceneObject:
    """At most about `max_faces` faces, by quadric error. The field gives the new vertices their colours.

    Raises PipelineError if fast-simplification is missing.
    """
    if len(thing.faces_F3) <= max_faces:
        return thing
    try:
        import fast_simplification
    except ImportError as error:
        raise PipelineError("fewer faces need fast-simplification; pip install 'fixer3d[export]'") from error
    vertices_v3, faces_f3 = fast_simplification.simplify(
        thing.vertices_V3, thing.faces_F3.astype(np.int32), target_count=max_faces
    )
    return replace(
        thing,
        vertices_V3=vertices_v3.astype(np.float32),
        normals_V3=vertex_normals(vertices_v3, faces_f3),
        faces_F3=faces_f3.astype(np.int64),
        colours_V3=field(vertices_v3),
    )
