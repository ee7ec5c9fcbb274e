"""Rugs, paper, cards: things without thickness lie on the floor as what they are, and never on one another."""

import dataclasses
from itertools import combinations

import numpy as np
import pytest
import trimesh
from layout_shapes import MemoryLibrary, box
from scipy.spatial import ConvexHull

from scenegen.assets.library import CanonicalMesh
from scenegen.assets.preparing.convex import convex_parts
from scenegen.config import PlacementConfig
from scenegen.layout.audit import audit_scene
from scenegen.layout.sampler import sample_scene
from scenegen.layout.spec import SceneSpec
from scenegen.layout.visibility import SceneCaster

RUG = trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [1, 0.6, 0], [0, 0.6, 0]], [[0, 1, 2], [0, 2, 3]], process=False)


class FlatLibrary(MemoryLibrary):
    """A rug and a block; the rug has the parts that preparation gives it."""

    def __init__(self) -> None:
        super().__init__({"block": [box((0.5, 0.4, 0.3))], "rug": [box((1, 1, 1))]})
        vertices = (RUG.vertices - RUG.bounds.mean(axis=0)).astype(np.float32)
        self._meshes["rug"] = CanonicalMesh(vertices, RUG.faces.astype(np.int32))
        self._parts["rug"] = convex_parts(vertices, RUG.faces.astype(np.int32)).vertices


@pytest.fixture(scope="module")
def library() -> FlatLibrary:
    return FlatLibrary()


@pytest.fixture(scope="module")
def spec(config, library) -> SceneSpec:
    """So crowded that they would overlap if they could."""
    crowded = PlacementConfig(num_objects=(14, 14), area_m=3.0, scale=(0.5, 1.2))
    return sample_scene(dataclasses.replace(config, placement=crowded), library, ("sky",), (), 0)


def footprint(spec: SceneSpec, library: FlatLibrary, index: int) -> np.ndarray:
    return SceneCaster.of(spec, library).world_vertices(spec.objects[index])[:, :2]


def test_every_pixel_of_a_flat_thing_is_its_own_not_the_floors(spec, library):
    caster = SceneCaster.of(spec, library)
    (view, *_) = spec.views
    ids, _ = caster.view(view)
    pixels = np.argwhere(np.ones_like(ids, bool))[:, ::-1] + 0.5
    of_rugs = 0
    for placed in (o for o in spec.objects if o.asset_uid == "rug"):
        hit = caster.hits_alone(placed.instance_id, view.camera, pixels).reshape(ids.shape)
        assert not (ids[hit] == 1).any(), "the floor never shows through it"
        of_rugs += int((ids == placed.instance_id).sum())
    assert of_rugs > 200


def test_flat_things_never_overlap_and_the_audit_agrees(spec, library):
    assert audit_scene(spec, library) == ()
    assert len({o.asset_uid for o in spec.objects}) == 2 and len(spec.objects) >= 8
    hulls = [ConvexHull(footprint(spec, library, i)) for i in range(len(spec.objects))]
    for a, b in combinations(hulls, 2):
        # Convex outlines are apart when one of their edges has the other wholly on its outer side.
        apart = (
            (own.equations[:, :2] @ other.points.T + own.equations[:, 2:]).min(axis=1).max()
            for own, other in ((a, b), (b, a))
        )
        assert max(apart) > 0
