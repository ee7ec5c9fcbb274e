"""The picture of a completion shows objects where the image has them."""

import numpy as np
import torch
import trimesh
from PIL import Image

from pipelines.complete.export.picture import EDGE_PX, _view, drawn, marked, write_picture
from pipelines.complete.export.scene import SceneObject, scene_objects


def true_objects(scene) -> list[SceneObject]:
    ball = trimesh.creation.icosphere(4, radius=0.5)
    vertices, faces = ball.vertices.astype(np.float32), np.asarray(ball.faces)
    return [
        SceneObject(f"{i}", i, vertices, vertices * 2, faces, tuple(centre), 2 * scene.radius)
        for i, centre in enumerate(scene.centres_N3.tolist(), start=1)
    ]


def test_objects_in_their_place_cover_their_masks(scene) -> None:
    size = scene.ids_HW.shape[1], scene.ids_HW.shape[0]
    picture = drawn(true_objects(scene), _view(scene.camera, size, size))
    covered, masked = (picture != picture[0, 0]).any(-1), scene.ids_HW > 0
    assert (covered & masked).sum() / (covered | masked).sum() > 0.95


def test_the_picture_names_its_maker_and_has_three_panes(scene, one_completed, tmp_path) -> None:
    masks = {i: scene.ids_HW == i for i in range(1, 6)}
    write_picture(tmp_path / "p.png", scene.rgb_HW3, masks, one_completed, scene_objects(one_completed))
    picture = Image.open(tmp_path / "p.png")
    assert picture.width > 3 * EDGE_PX
    unnamed = np.asarray(picture)[: picture.height - 22]
    assert len(np.unique(unnamed.reshape(-1, 3), axis=0)) > 100
    assert (np.asarray(picture)[-20:] < 128).any()  # the line that says who made it


def test_nothing_completed_is_an_empty_pane(scene) -> None:
    size = (32, 20)
    assert (drawn([], _view(scene.camera, size, size)) == 245).all()


def test_masks_are_marked_and_the_rest_is_the_image(scene) -> None:
    picture = marked(scene.rgb_HW3, {1: scene.ids_HW == 1})
    changed = (picture != scene.rgb_HW3).any(-1)
    assert torch.equal(torch.from_numpy(changed), torch.from_numpy(scene.ids_HW == 1))
