from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from pipelines.rendering import View, render_mesh
from pipelines.rendering.mesh_raster import rasterise
from tests.pipelines.rendering.cameras import DISTANCE, FOCAL, front_view


def rectangle(x0: float, x1: float, y0: float, y1: float, z: float = 0.0) -> tuple[Tensor, Tensor]:
    corners = torch.tensor([[x0, y0, z], [x1, y0, z], [x1, y1, z], [x0, y1, z]])
    return corners, torch.tensor([[0, 2, 1], [0, 3, 2]])


def sphere(radius: float, rings: int) -> tuple[Tensor, Tensor]:
    """A closed surface of many small faces: latitude and longitude, poles on the x axis."""
    u = torch.arange(2 * rings) * (math.pi / rings)
    v = torch.linspace(0, math.pi, rings + 1)
    u, v = torch.meshgrid(u, v, indexing="ij")
    points = radius * torch.stack([v.cos(), v.sin() * u.cos(), v.sin() * u.sin()], dim=-1)
    number = torch.arange(u.numel()).view(u.shape)
    a, b = number[:, :-1], number[:, 1:]
    c, d = b.roll(-1, 0), a.roll(-1, 0)
    faces = torch.cat([torch.stack([a, b, c], -1).view(-1, 3), torch.stack([a, c, d], -1).view(-1, 3)])
    return points.view(-1, 3), faces


def area_px(radius: float, view: View) -> float:
    """Pixels that a sphere in the middle of the image covers: a disc of slope r / sqrt(d^2 - r^2)."""
    slope = radius / math.sqrt(DISTANCE**2 - radius**2)
    return math.pi * slope**2 * float(view.K_px[0, 0] * view.K_px[1, 1])


def test_a_slanted_plane_is_drawn_perspective_correct() -> None:
    """Attributes that are the vertices' own positions come out as the points where the rays meet the plane."""
    view = front_view((40, 30))
    corners, faces = rectangle(-3, 3, -3, 3)
    corners[:, 2] = 0.5 + 0.6 * corners[:, 0] - 0.3 * corners[:, 1]
    render = render_mesh(corners, faces, view, attributes_VA=corners)
    y, x = torch.meshgrid(torch.arange(30) + 0.5, torch.arange(40) + 0.5, indexing="ij")
    dx, dy = (x / 40 - 0.5) / FOCAL, (y / 30 - 0.5) / (FOCAL * 40 / 30)
    depth = (0.5 + DISTANCE) / (1 - 0.6 * dx + 0.3 * dy)
    torch.testing.assert_close(render.depth_HW, depth, atol=1e-5, rtol=1e-5)
    hit = torch.stack([dx * depth, dy * depth, depth - DISTANCE])
    torch.testing.assert_close(render.attributes_AHW, hit, atol=1e-5, rtol=1e-5)
    normal = torch.tensor([0.6, -0.3, -1.0]) / math.sqrt(1.45)
    torch.testing.assert_close(render.normal_3HW, normal[:, None, None].expand(3, 30, 40), atol=1e-5, rtol=1e-5)


def test_the_nearer_face_is_seen_in_any_order_of_faces() -> None:
    near, near_faces = rectangle(-0.2, 0.2, -0.2, 0.2, z=-0.5)
    far, far_faces = rectangle(-1, 1, -1, 1, z=0.5)
    view, vertices = front_view(), torch.cat([near, far])
    faces = torch.cat([near_faces, far_faces + 4])
    one, other = render_mesh(vertices, faces, view), render_mesh(vertices, faces.flip(0), view)
    torch.testing.assert_close(one.depth_HW, other.depth_HW, rtol=0, atol=0, equal_nan=True)
    assert float(one.depth_HW[12, 16]) == pytest.approx(1.5)
    assert float(one.depth_HW[1, 16]) == pytest.approx(2.5)


def test_what_reaches_behind_the_camera_is_cut_at_the_near_plane() -> None:
    """A floor below the camera, from far behind it to far before it."""
    view = front_view(near=0.5)
    floor = torch.tensor([[-50.0, 1.0, -60.0], [50.0, 1.0, -60.0], [50.0, 1.0, 60.0], [-50.0, 1.0, 60.0]])
    render = render_mesh(floor, torch.tensor([[0, 1, 2], [0, 2, 3]]), view)
    y = (torch.arange(24) + 0.5 - 12) / float(view.K_px[1, 1])
    expected = (1 / y).where((y > 0) & (1 / y > 0.5) & (1 / y < 62), torch.nan)
    torch.testing.assert_close(render.depth_HW[:, 16], expected, atol=1e-4, rtol=1e-4, equal_nan=True)


@pytest.mark.parametrize(("angle_rad", "tolerance"), [(0.0, 1e-4), (0.3, 0.13), (math.pi / 4, 0.13), (1.3, 0.13)])
def test_the_mask_is_the_covered_share_of_each_pixel(angle_rad: float, tolerance: float) -> None:
    """A straight edge through the image, at whole and at fractional pixels; the exact share by 16 x 16 samples."""
    view, fine = front_view((32, 32)), front_view((512, 512))
    edge = torch.tensor([math.cos(angle_rad), math.sin(angle_rad), 0.0])
    along = torch.tensor([-edge[1], edge[0], 0.0])
    for offset in (0.003, 0.013, 0.041):
        corners = torch.stack([offset * edge - 9 * along, offset * edge + 9 * along, -9 * edge])
        faces = torch.tensor([[0, 1, 2]])
        exact = render_mesh(corners, faces, fine).covered_HW.float().view(32, 16, 32, 16).mean((1, 3))
        difference = render_mesh(corners, faces, view).mask_HW - exact
        assert difference.abs().max() <= max(tolerance, 1 / 16)
        assert difference.mean().abs() <= 2e-3


@pytest.mark.parametrize("rings", [8, 64], ids=["faces of some pixels", "faces smaller than a pixel"])
def test_the_outline_of_a_sphere_has_its_area_and_moves_like_it(rings: int) -> None:
    view, radius = front_view((48, 48)), 0.5
    points, faces = sphere(1.0, rings)
    r = torch.tensor(radius, requires_grad=True)
    shift = torch.zeros(3, requires_grad=True)
    area = render_mesh(points * r + shift, faces, view).mask_HW.sum()
    area.backward()
    polygon = 1.0 if rings > 8 else math.sin(2 * math.pi / 16) / (2 * math.pi / 16)  # share of the circle's area
    step = 1e-3
    slope = (area_px(radius + step, view) - area_px(radius - step, view)) / (2 * step)
    assert float(area.detach()) == pytest.approx(polygon * area_px(radius, view), rel=0.02)
    assert float(r.grad) == pytest.approx(polygon * slope, rel=0.05)
    assert shift.grad[:2].abs().max() < 0.01 * slope, "moving sideways does not change the area"
    assert shift.grad[2] < 0, "moving away makes it smaller"


def test_vertices_follow_the_mask() -> None:
    """Gradient descent on the mask alone brings a sphere to where, and as large as, another one is drawn."""
    view = front_view((32, 32))
    points, faces = sphere(1.0, 12)
    target = render_mesh(points * 0.45 + torch.tensor([0.12, -0.07, 0.0]), faces, view).mask_HW
    pose = torch.tensor([0.0, 0.0, 0.3], requires_grad=True)
    optimiser = torch.optim.Adam([pose], lr=0.02)
    for _ in range(60):
        optimiser.zero_grad()
        shift = torch.cat([pose[:2], pose.new_zeros(1)])
        (render_mesh(points * pose[2] + shift, faces, view).mask_HW - target).abs().mean().backward()
        optimiser.step()
    torch.testing.assert_close(pose.detach(), torch.tensor([0.12, -0.07, 0.45]), atol=0.01, rtol=0)


def test_gradients_inside_of_a_face_are_those_of_finite_differences() -> None:
    view = front_view((6, 6))
    corners = torch.tensor([[-2.0, -2, 0.3], [2, -2, -0.2], [0, 3, 0.5]], dtype=torch.float64)
    values = torch.rand(3, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def picture(corners: Tensor, values: Tensor) -> Tensor:
        render = render_mesh(corners, torch.tensor([[0, 1, 2]]), view, values)
        assert render.covered_HW.all()
        return torch.cat([render.attributes_AHW, render.depth_HW[None], render.normal_3HW])

    assert torch.autograd.gradcheck(picture, [corners.requires_grad_(), values.requires_grad_()], atol=1e-6)


def test_colours_mix_with_the_background_along_the_outline() -> None:
    points, faces = sphere(0.5, 32)
    red = torch.tensor([1.0, 0.0, 0.0]).expand(len(points), 3)
    render = render_mesh(points, faces, front_view(), red, background=torch.tensor([0.0, 0.0, 1.0]))
    torch.testing.assert_close(render.attributes_AHW[0], render.mask_HW, atol=0.02, rtol=0)
    torch.testing.assert_close(render.attributes_AHW[2], 1 - render.mask_HW, atol=0.02, rtol=0)


def test_portions_of_pairs_do_not_change_the_picture() -> None:
    view = front_view()
    points, faces = sphere(0.5, 6)
    camera = view.to_camera(points)
    whole, parts = rasterise(camera, faces, view), rasterise(camera, faces, view, max_pairs=7)
    assert torch.equal(whole.face_P, parts.face_P) and torch.equal(whole.pixel_P, parts.pixel_P)


def test_an_empty_mesh_is_an_empty_picture() -> None:
    vertices = torch.zeros(0, 3, requires_grad=True)
    render = render_mesh(vertices, torch.zeros(0, 3, dtype=torch.long), front_view())
    assert not render.covered_HW.any() and render.depth_HW.isnan().all()
    render.mask_HW.sum().backward()


def test_intrinsics_in_pixels_are_refused() -> None:
    with pytest.raises(ValueError, match="normalised"):
        View(torch.eye(4), torch.tensor([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]]), (640, 480))


@pytest.mark.gpu
def test_cuda_draws_what_the_cpu_draws() -> None:
    points, faces = sphere(0.5, 32)
    one, other = (render_mesh(points.to(d), faces.to(d), front_view(), points.to(d)) for d in ("cpu", "cuda"))
    torch.testing.assert_close(other.mask_HW.cpu(), one.mask_HW, atol=1e-4, rtol=0)
    torch.testing.assert_close(other.attributes_AHW.cpu(), one.attributes_AHW, atol=1e-4, rtol=0)


def test_the_picture_does_not_depend_on_autocast() -> None:
    points, faces = sphere(0.5, 16)
    whole = render_mesh(points, faces, front_view(), points)
    with torch.autocast("cpu", torch.bfloat16):
        half = render_mesh(points, faces, front_view(), points)
    assert torch.equal(half.mask_HW, whole.mask_HW) and torch.equal(half.attributes_AHW, whole.attributes_AHW)
