"""The box renderer is a second pair of eyes: it sees what layout's ray caster sees."""

import numpy as np
import pytest

from scenegen.layout.sampler import sample_scene
from scenegen.layout.spec import SceneSpec
from scenegen.layout.visibility import SceneCaster
from scenegen.scenes.box_renderer import BoxLibrary, BoxRenderer
from tests.box_runs.harness import SMALL
from tests.box_runs.worker import Records

LIBRARY = BoxLibrary(Records())


@pytest.fixture(scope="module", params=[0, 1, 2])
def spec(request: pytest.FixtureRequest) -> SceneSpec:
    return sample_scene(SMALL, LIBRARY, ["hdri/sky"], [], request.param)


def test_ids_and_depth_agree_with_rays_cast_at_the_triangles(spec: SceneSpec):
    caster = SceneCaster.of(spec, LIBRARY)
    for view, images in zip(spec.views, BoxRenderer(LIBRARY).render(spec), strict=True):
        ids, depth = caster.view(view)
        same = ids == images.instance_id
        assert same.mean() > 0.995  # rays along an edge may fall to either side
        seen = same & (ids > 0)
        assert np.abs(depth - images.depth_m)[seen].max() < 1e-3
        assert (np.isnan(images.depth_m) == (images.instance_id == 0)).all()


def test_normals_are_unit_and_face_the_camera(spec: SceneSpec):
    for view, images in zip(spec.views, BoxRenderer(LIBRARY).render(spec), strict=True):
        hit = images.instance_id > 0
        normals = images.normal_cam[hit]
        assert np.abs(np.linalg.norm(normals, axis=-1) - 1).max() < 1e-5
        rows, columns = np.nonzero(hit)
        pixels = np.stack([columns + 0.5, rows + 0.5, np.ones(len(rows))], axis=-1)
        rays = pixels @ np.linalg.inv(view.camera.K_px).T
        assert ((normals * rays).sum(axis=-1) <= 1e-5).all()
