from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from models.gaussian_decoder import rotation_matrix
from pipelines.rendering import Splats, View, render_splats
from pipelines.rendering.splats_reference import MIN_ALPHA, project_splats
from tests.pipelines.rendering.cameras import DISTANCE, front_view


def one_splat(xyz: tuple[float, float, float], sigma: float, opacity: float, colour: tuple[float, ...]) -> Splats:
    return Splats(
        xyz_G3=torch.tensor([xyz]),
        scaling_G3=torch.full((1, 3), sigma),
        rotation_G4=torch.tensor([[1.0, 0, 0, 0]]),
        opacity_G=torch.tensor([opacity]),
        colour_G3=torch.tensor([colour]),
    )


def join(*splats: Splats) -> Splats:
    names = ("xyz_G3", "scaling_G3", "rotation_G4", "opacity_G", "colour_G3")
    return Splats(*(torch.cat([getattr(s, name) for s in splats]) for name in names))


def cloud(count: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Splats:
    g = torch.Generator().manual_seed(seed)
    random = lambda *shape: torch.rand(*shape, generator=g, dtype=dtype)  # noqa: E731
    return Splats(
        xyz_G3=random(count, 3) - 0.5,
        scaling_G3=0.02 + 0.1 * random(count, 3),
        rotation_G4=torch.nn.functional.normalize(random(count, 4) - 0.5, dim=1),
        opacity_G=0.2 + 0.7 * random(count),
        colour_G3=random(count, 3),
    )


def pixel_centres(view: View) -> tuple[Tensor, Tensor]:
    width, height = view.size_px
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return x, y


def test_a_single_round_gaussian_has_its_closed_form() -> None:
    view, sigma, opacity = front_view(), 0.1, 0.7
    render = render_splats(one_splat((0.1, -0.05, 0.5), sigma, opacity, (0.2, 0.4, 0.9)), view)
    depth = DISTANCE + 0.5
    focal, x, y = float(view.K_px[0, 0]), *pixel_centres(view)
    dx, dy = x - (16 + focal * 0.1 / depth), y - (12 - focal * 0.05 / depth)
    # The projection is linearised at the centre, which lies beside the axis: its covariance is J J^T sigma^2.
    J = torch.tensor([[focal / depth, 0, -focal * 0.1 / depth**2], [0, focal / depth, focal * 0.05 / depth**2]])
    sharp = J @ J.T * sigma**2
    blurred = sharp + 0.1 * torch.eye(2)
    offset = torch.stack([dx, dy], dim=-1)[..., None]
    power = (offset.mT @ blurred.inverse() @ offset)[..., 0, 0]
    alpha = opacity * (sharp.det() / blurred.det()).sqrt() * (-power / 2).exp()
    alpha = alpha.where(alpha >= MIN_ALPHA, 0.0)
    torch.testing.assert_close(render.alpha_HW, alpha, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(render.colour_3HW[2], 0.9 * alpha, atol=1e-5, rtol=1e-4)
    assert torch.allclose(render.depth_HW[alpha > 0], torch.tensor(depth))
    assert render.depth_HW[alpha == 0].isnan().all()


@pytest.mark.parametrize("sigma_px", [0.3, 1.0])
def test_a_gaussian_smaller_than_a_pixel_keeps_its_weight(sigma_px: float) -> None:
    """Wherever it lies within its pixel, on average over 64 of them: opacity times its own area, not the filter's."""
    view = front_view((128, 128))
    step = (torch.arange(8) + 0.5) * 16 + torch.arange(8) / 8 - 64
    y, x = torch.meshgrid(step, step, indexing="ij")
    focal = float(view.K_px[0, 0])
    xyz = torch.stack([x.flatten(), y.flatten(), torch.zeros(64)], dim=1) * (DISTANCE / focal)
    splats = join(*(one_splat(tuple(p.tolist()), sigma_px * DISTANCE / focal, 0.9, (1.0, 1.0, 1.0)) for p in xyz))
    area = 2 * math.pi * (sigma_px**2 + 0.1)
    peak = 0.9 * sigma_px**2 / (sigma_px**2 + 0.1)
    expected = 64 * area * (peak - MIN_ALPHA)  # what is fainter than the threshold is cut away
    assert float(render_splats(splats, view).alpha_HW.sum()) == pytest.approx(expected, rel=0.06)


def test_what_is_in_front_hides_what_is_behind_in_any_order_of_input() -> None:
    view = front_view((9, 9))
    front = one_splat((0.0, 0.0, -0.2), 0.5, 0.8, (1.0, 0.0, 0.0))
    behind = one_splat((0.0, 0.0, 0.4), 0.5, 0.5, (0.0, 1.0, 0.0))
    one, other = (render_splats(join(*pair), view, 1.0) for pair in ((front, behind), (behind, front)))
    torch.testing.assert_close(one.colour_3HW, other.colour_3HW)
    first = render_splats(front, view).alpha_HW[4, 4]
    second = render_splats(behind, view).alpha_HW[4, 4]
    expected = torch.stack([first, (1 - first) * second, torch.zeros(())]) + (1 - first) * (1 - second)
    torch.testing.assert_close(one.colour_3HW[:, 4, 4], expected)


def test_a_cloud_is_composited_like_a_loop_over_its_gaussians() -> None:
    view, splats = front_view(), cloud(150)
    render, seen = render_splats(splats, view, 0.5), project_splats(splats, view)
    x, y = pixel_centres(view)
    through, colour_3HW = torch.ones_like(x), torch.zeros(3, *x.shape)
    for i in seen.depth_G.argsort().tolist():
        dx, dy, (xx, xy, yy) = seen.xy_G2[i, 0] - x, seen.xy_G2[i, 1] - y, seen.conic_G3[i]
        alpha = (seen.opacity_G[i] * (-0.5 * (xx * dx**2 + yy * dy**2) - xy * dx * dy).exp()).clamp(max=0.999)
        alpha = alpha.where((alpha >= MIN_ALPHA) & (through > 1e-4), 0.0)
        colour_3HW += through * alpha * splats.colour_G3[i][:, None, None]
        through = through * (1 - alpha)
    torch.testing.assert_close(render.colour_3HW, colour_3HW + 0.5 * through, atol=2e-4, rtol=0)
    torch.testing.assert_close(render.alpha_HW, 1 - through, atol=2e-4, rtol=0)


def test_a_stretched_and_turned_gaussian_is_as_wide_as_its_covariance_says() -> None:
    splats = one_splat((0.0, 0.0, 0.0), 0.1, 0.9, (1.0, 1.0, 1.0))
    turn = torch.nn.functional.normalize(torch.tensor([[0.9, 0.1, -0.2, 0.4]]), dim=1)
    splats = replace(splats, scaling_G3=torch.tensor([[0.3, 0.05, 0.1]]), rotation_G4=turn)
    view = front_view()
    axes = rotation_matrix(turn)[0] * splats.scaling_G3
    expected = (axes @ axes.T)[:2, :2] * (view.K_px[0, 0] / DISTANCE) ** 2 + 0.1 * torch.eye(2)
    xx, xy, yy = project_splats(splats, view).conic_G3[0]
    found = torch.stack([torch.stack([xx, xy]), torch.stack([xy, yy])]).inverse()
    torch.testing.assert_close(found, expected.float(), atol=1e-3, rtol=1e-4)


def test_gradients_are_those_of_finite_differences() -> None:
    view, splats = front_view((8, 6)), cloud(5, seed=3, dtype=torch.float64)
    weights_5HW = torch.rand(5, 6, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def picture(*values: Tensor) -> Tensor:
        render = render_splats(Splats(*values), view)
        image = torch.cat([render.colour_3HW, render.alpha_HW[None], render.depth_HW.nan_to_num()[None]])
        return (image * weights_5HW).sum()

    values = [splats.xyz_G3, splats.scaling_G3, splats.rotation_G4, splats.opacity_G, splats.colour_G3]
    assert torch.autograd.gradcheck(picture, [v.requires_grad_() for v in values], eps=1e-7, atol=1e-4, rtol=1e-3)


def test_nothing_in_sight_leaves_the_background() -> None:
    view = front_view((8, 8))
    behind_camera = one_splat((0.0, 0.0, -3.0), 0.3, 0.9, (1.0, 1.0, 1.0))
    beside = one_splat((9.0, 0.0, 0.0), 0.1, 0.9, (1.0, 1.0, 1.0))
    for splats in (behind_camera, beside, replace(beside, opacity_G=torch.zeros(1))):
        render = render_splats(splats, view, torch.tensor([0.1, 0.2, 0.3]))
        assert (render.alpha_HW == 0).all()
        torch.testing.assert_close(render.colour_3HW[:, 0, 0], torch.tensor([0.1, 0.2, 0.3]))


def test_gsplat_is_never_replaced_in_silence() -> None:
    with pytest.raises(ValueError, match="reference"):
        render_splats(cloud(3), front_view(), backend="gsplat")


def test_the_picture_does_not_depend_on_autocast() -> None:
    whole = render_splats(cloud(20), front_view())
    with torch.autocast("cpu", torch.bfloat16):
        half = render_splats(cloud(20), front_view())
    assert torch.equal(half.colour_3HW, whole.colour_3HW)


@pytest.mark.gpu
def test_both_rasterisers_draw_the_same_picture_and_gradients() -> None:
    view, results = front_view((64, 48)), []
    for backend in ("gsplat", "reference"):
        splats = cloud(500)
        leaves = {
            name: getattr(splats, name).cuda().requires_grad_() for name in Splats.__dataclass_fields__ if "_G" in name
        }
        # As the decoder does: along itself a quaternion has no gradient, and only the reference would tell one.
        unit = leaves | {"rotation_G4": torch.nn.functional.normalize(leaves["rotation_G4"], dim=1)}
        render = render_splats(Splats(**unit), view, 1.0, backend=backend)
        render.colour_3HW.square().sum().backward()
        results.append((render.colour_3HW.detach(), render.alpha_HW.detach(), [leaf.grad for leaf in leaves.values()]))
    (colour, alpha, grads), (colour_ref, alpha_ref, grads_ref) = results
    torch.testing.assert_close(colour, colour_ref, atol=2e-3, rtol=0)
    torch.testing.assert_close(alpha, alpha_ref, atol=2e-3, rtol=0)
    for grad, grad_ref in zip(grads, grads_ref, strict=True):
        assert (grad - grad_ref).norm() <= 0.02 * grad_ref.norm()
