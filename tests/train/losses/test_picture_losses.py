"""Distances between pictures, and what meshes and Gaussians are held to."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from models.flexicubes.extraction import Mesh, MeshTraining
from pipelines.errors import PipelineError
from pipelines.rendering import View, render_mesh
from pipelines.rendering.orbit import orbit_views
from pipelines.train.losses.images import ImageLoss, ImageWeights, psnr_B, ssim_B
from pipelines.train.losses.meshes import (
    MeshLoss,
    MeshViews,
    MeshWeights,
    depth_term,
    facing_camera,
    mask_term,
    normal_image,
    tsdf_term,
)
from pipelines.train.losses.per_voxel import voxel_mean_B
from pipelines.train.losses.perceptual import EfficientNetDistance, Lpips

VIEWS = orbit_views(2, (40, 40))


def pictures(count: int = 2, size: int = 32, seed: int = 0) -> Tensor:
    """Smooth random pictures."""
    coarse = torch.rand(count, 3, 6, 6, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic").clamp(0, 1)


def octahedron(radius: float = 0.4) -> tuple[Tensor, Tensor]:
    """Vertices and faces, the latter seen counter-clockwise from outside."""
    axes = torch.cat([torch.eye(3), -torch.eye(3)]) * radius
    faces = [[x, y, z] for x in (0, 3) for y in (1, 4) for z in (2, 5)]
    outward = [f if (f[0] // 3 + f[1] // 3 + f[2] // 3) % 2 == 0 else [f[0], f[2], f[1]] for f in faces]
    return axes, torch.tensor(outward)


def truth(radius: float = 0.4, background: float = 1.0) -> MeshViews:
    vertices, faces = octahedron(radius)
    return MeshViews.of(vertices, faces, VIEWS, torch.full((2, 3, 40, 40), 0.5), torch.tensor(background))


def decoded(radius: float) -> Mesh:
    vertices, faces = octahedron(radius)
    training = MeshTraining(torch.zeros(()), torch.zeros(0, 3), torch.zeros(0))
    return Mesh(vertices.requires_grad_(), faces, torch.full((6, 6), 0.5), training)


# Pictures.


def test_ssim_is_one_for_equal_pictures_and_falls_with_noise() -> None:
    image = pictures()
    torch.testing.assert_close(ssim_B(image, image), torch.ones(2))
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(1))
    little, much = (ssim_B(image, image + scale * noise) for scale in (0.02, 0.2))
    assert (little > much).all() and (little < 1).all()


def test_ssim_of_two_greys_has_its_closed_form() -> None:
    """Without structure only the luminance term is left; away from the border, where zeros come in."""
    a, b = torch.full((1, 1, 256, 256), 0.3), torch.full((1, 1, 256, 256), 0.6)
    inner = (2 * 0.3 * 0.6 + 1e-4) / (0.3**2 + 0.6**2 + 1e-4)
    assert float(ssim_B(a, b)) == pytest.approx(inner, abs=0.02)


def test_psnr_of_a_tenth_is_twenty_decibels() -> None:
    image = torch.full((1, 3, 8, 8), 0.5)
    assert float(psnr_B(image + 0.1, image)) == pytest.approx(20.0, abs=1e-3)
    assert float(psnr_B(image, image)) == 100.0


def test_features_tell_a_blurred_picture_from_a_brighter_one() -> None:
    """What a perceptual distance is for: equal absolute error, and blur is worse."""
    sharp = (torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) > 0.5).float() * 0.5 + 0.2
    sharp = torch.nn.functional.interpolate(sharp[..., ::4, ::4], scale_factor=4)
    blurred = torch.nn.functional.avg_pool2d(sharp, 9, 1, 4, count_include_pad=False)
    brighter = sharp + (blurred - sharp).abs().mean()
    distance = EfficientNetDistance.from_package()
    assert float(distance(sharp, sharp)) == pytest.approx(0.0, abs=1e-6)
    assert float(distance(blurred, sharp)) > 3 * float(distance(brighter, sharp))


def test_the_perceptual_part_is_named_after_its_network_and_left_out_without_one() -> None:
    image, other = pictures(seed=0), pictures(seed=1)
    plain = ImageLoss(ImageWeights())
    loss, terms = plain(image, other)
    assert set(terms) == {"absolute", "dissimilarity"}
    torch.testing.assert_close(loss, terms["absolute"] + 0.2 * terms["dissimilarity"])
    distance = EfficientNetDistance.from_package()
    asset_with_features, terms = ImageLoss(ImageWeights(), distance)(image, other)
    torch.testing.assert_close(asset_with_features, loss + 0.2 * terms["efficientnet_lite0_distance"])


def test_lpips_reads_the_two_released_files_and_refuses_others(tmp_path: Path) -> None:
    torch.manual_seed(0)
    made = Lpips()
    for weight in made.channel_weights:
        torch.nn.init.uniform_(weight)
    vgg16, linear = tmp_path / "vgg16.pth", tmp_path / "vgg.pth"
    torch.save({f"features.{k}": v for k, v in made.features.state_dict().items()} | {"classifier.0.bias": 0}, vgg16)
    torch.save({f"lin{i}.model.1.weight": w.data for i, w in enumerate(made.channel_weights)}, linear)
    read, image, other = Lpips.from_files(vgg16, linear), pictures(seed=0), pictures(seed=1)
    with torch.no_grad():
        torch.testing.assert_close(read(image, other), made(image, other))
    assert (read(image, other) > 0).all()
    torch.testing.assert_close(read(image, image), torch.zeros(2))
    with pytest.raises(PipelineError, match="LPIPS"):
        Lpips.from_files(linear, linear)


# Meshes.


def test_the_true_mesh_itself_has_no_error_in_mask_depth_and_normals() -> None:
    _, terms = MeshLoss(ImageLoss(ImageWeights()), MeshWeights(), resolution=64)(decoded(0.4), truth(0.4))
    for name in ("mask", "depth", "normal"):
        assert float(terms[name].detach()) == pytest.approx(0.0, abs=1e-5), name


@pytest.mark.parametrize("background", [0.0, 1.0])
def test_colours_are_compared_over_the_same_background(background: float) -> None:
    """Where the mesh leaves the background, the picture has it too."""
    wanted = truth(0.4, background)
    grey = torch.tensor([background] * 3)
    vertices, faces = octahedron(0.4)
    seen = [render_mesh(vertices, faces, view, torch.full((6, 3), 0.5), grey).attributes_AHW for view in VIEWS]
    wanted = MeshViews.of(vertices, faces, VIEWS, torch.stack(seen), wanted.background)
    weights = MeshWeights(mask=0, depth=0, normal=0, tsdf=0, colour=1, regulariser=0)
    mesh = decoded(0.4)
    flat = Mesh(mesh.vertices_V3, mesh.faces_F3, mesh.attributes_VA, mesh.training)
    loss, _ = MeshLoss(ImageLoss(ImageWeights(ssim=0.0)), weights, resolution=64)(flat, wanted)
    normals_alone = (torch.full_like(wanted.normals_K3HW, 0.5) - wanted.normals_K3HW).abs().mean()
    assert float(loss.detach()) < float(normals_alone), "only the predicted normals differ"


@pytest.mark.parametrize("radius", [0.36, 0.44])
def test_mask_and_depth_move_vertices_towards_the_truth(radius: float) -> None:
    """A step against the gradient of either term grows what is too small and shrinks what is too large."""
    wanted = truth(0.4)
    for term in (mask_term, lambda p, t: depth_term(p, t, 64)):
        scale = torch.ones((), requires_grad=True)
        vertices, faces = octahedron(radius)
        term([render_mesh(vertices * scale, faces, view) for view in VIEWS], wanted.renders).backward()
        assert float(scale.grad) * (0.4 - radius) < 0


def test_normals_of_a_mesh_inside_out_face_the_camera() -> None:
    vertices, faces = octahedron()
    (outside, inside) = (render_mesh(vertices, f, VIEWS[0]) for f in (faces, faces.flip(1)))
    torch.testing.assert_close(inside.normal_3HW, -outside.normal_3HW)
    torch.testing.assert_close(facing_camera(inside, VIEWS[0]), facing_camera(outside, VIEWS[0]))
    torch.testing.assert_close(facing_camera(outside, VIEWS[0]), outside.normal_3HW)
    image = normal_image(outside.normal_3HW, outside.covered_HW)
    assert (image[:, ~outside.covered_HW] == 0).all() and (image[:, outside.covered_HW] > 0).any(0).all()


def test_the_sdf_is_held_to_the_distance_in_front_of_the_surface() -> None:
    """Corners on both sides of a plane that is seen head-on: positive in front, negative behind."""
    K = torch.tensor([[1.0, 0, 0.5], [0, 1, 0.5], [0, 0, 1]], dtype=torch.float64)
    view = View(torch.eye(4, dtype=torch.float64), K, (16, 16))
    plane = torch.tensor([[-9.0, -9, 2], [9, -9, 2], [9, 9, 2], [-9, 9, 2]])
    seen = render_mesh(plane, torch.tensor([[0, 2, 1], [0, 3, 2]]), view)
    corners = torch.tensor([[0.1, 0.1, 1.99], [0.0, 0.2, 2.01], [0.0, 0.0, 1.5], [9.0, 0.0, 2.0]])
    sdf = torch.tensor([0.01, -0.01, 7.0, 7.0], requires_grad=True)  # the last two are far away, or out of sight
    exact = tsdf_term(MeshTraining(torch.zeros(()), corners, sdf), [seen], [view], resolution=64)
    assert float(exact.detach()) == pytest.approx(0.0, abs=1e-6)
    wrong = tsdf_term(MeshTraining(torch.zeros(()), corners, -sdf), [seen], [view], resolution=64)
    assert float(wrong.detach()) == pytest.approx((0.02 * 64) ** 2, rel=1e-3)
    wrong.backward()
    assert sdf.grad[2] == 0 and sdf.grad[3] == 0


def test_every_sample_counts_the_same_however_many_voxels_it_has() -> None:
    values = torch.tensor([[1.0, 3.0], [2.0, 2.0], [10.0, 10.0]])
    assert voxel_mean_B(values, (2, 1, 0)).tolist() == [2.0, 10.0, 0.0]
    assert math.isfinite(float(voxel_mean_B(values[:0], (0,))))


def test_similarity_does_not_depend_on_the_precision_around_it():
    """Of bright, almost even pictures, whose variances vanish in half precision."""
    noise = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    pictures = 0.9 + 0.02 * noise, 0.9 + 0.02 * noise.roll(1, 0)
    with torch.autocast("cpu", torch.bfloat16):
        inside = ssim_B(*pictures)
    assert torch.equal(inside, ssim_B(*pictures))
    assert bool((inside.abs() <= 1).all())
