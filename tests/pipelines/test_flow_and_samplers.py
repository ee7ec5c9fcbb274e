"""Rectified flow and its sampler, on flows whose solution is known; and the solver for MoGe's camera."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.moge import view_plane_uv
from models.point_map_camera import recover_focal_shift
from pipelines.errors import UsageError
from pipelines.flow_matching import FlowPath
from pipelines.samplers import SamplerConfig, euler_steps, sample_euler


@settings(max_examples=20, deadline=None)
@given(t=st.floats(0.0, 1.0), seed=st.integers(0, 10**6))
def test_a_point_of_the_path_and_its_velocity_give_back_the_data(t, seed) -> None:
    g = torch.Generator().manual_seed(seed)
    x_0, noise = torch.randn(2, 3, 4, 5, generator=g, dtype=torch.double).unbind()
    path, t_B = FlowPath(), torch.full((3,), t, dtype=torch.double)
    x_t = path.interpolate(x_0, noise, t_B)
    torch.testing.assert_close(path.data(x_t, path.velocity(x_0, noise), t_B), x_0)


def test_the_velocity_is_the_derivative_of_the_path() -> None:
    x_0, noise, t = (*torch.randn(2, 4, 6, dtype=torch.double).unbind(), torch.rand(4, dtype=torch.double))
    path, step = FlowPath(), 1e-4
    slope = (path.interpolate(x_0, noise, t + step) - path.interpolate(x_0, noise, t)) / step
    torch.testing.assert_close(slope, path.velocity(x_0, noise), atol=1e-8, rtol=1e-8)


def test_training_times_favour_noise() -> None:
    t = FlowPath().times(torch.randn(10_000))
    assert 0 < t.min() < t.max() < 1
    assert t.median().item() == pytest.approx(0.731, abs=0.02)


@pytest.mark.parametrize("rescale", [1.0, 3.0, 5.0])
@pytest.mark.parametrize("steps", [1, 7])
def test_straight_flows_are_integrated_exactly_in_any_number_of_steps(rescale, steps) -> None:
    x_0, noise = torch.randn(2, 2, 5).unbind()
    path = FlowPath(sigma_min=0.0)
    config = SamplerConfig(steps, rescale, guidance=0.0, sigma_min=0.0)
    last = list(euler_steps(lambda x, t: path.velocity(x_0, noise), noise, 2, config))[-1]
    torch.testing.assert_close(last.x_t, x_0, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(last.x_0, x_0, atol=1e-5, rtol=1e-5)


def test_times_go_from_one_to_zero_and_stay_longer_at_noise() -> None:
    even, late = SamplerConfig(10, 1.0).times(), SamplerConfig(10, 3.0).times()
    assert (even[0], even[-1], late[0], late[-1]) == (1.0, 0.0, 1.0, 0.0)
    assert (late[1:-1] > even[1:-1]).all()


def test_guidance_extrapolates_on_its_interval_and_the_negative_is_not_computed_elsewhere() -> None:
    called = []

    def negative(x, t):
        called.append(t[0].item())
        return torch.zeros_like(x)

    config = SamplerConfig(4, 1.0, guidance=2.0, guidance_interval=(0.5, 0.75), sigma_min=0.0)
    x = sample_euler(lambda x, t: torch.ones_like(x), torch.zeros(1, 3), 1, config, negative)
    assert called == [750.0, 500.0]
    torch.testing.assert_close(x, torch.full((1, 3), -(1 + 3 + 3 + 1) / 4))


def test_both_velocities_in_one_pass_give_the_same_sample() -> None:
    noise = torch.randn(2, 3)
    velocity, negative = (lambda x, t: x * 0.3 + 1), (lambda x, t: x * 0.1)
    config = SamplerConfig(5, guidance=2.0)
    expected = sample_euler(velocity, noise, 2, config, negative)
    pair = lambda x, t: (velocity(x, t), negative(x, t))  # noqa: E731
    torch.testing.assert_close(sample_euler(velocity, noise, 2, config, pair=pair), expected, atol=0, rtol=0)


def test_guidance_without_a_negative_is_an_error() -> None:
    with pytest.raises(ValueError, match="negative"):
        sample_euler(lambda x, t: x, torch.zeros(1, 3), 1, SamplerConfig())


@settings(max_examples=15, deadline=None)
@given(focal=st.floats(0.6, 3.0), shift=st.floats(-0.5, 1.5), seed=st.integers(0, 10**6))
def test_focal_length_and_shift_of_a_pinhole_camera_are_recovered(focal, shift, seed) -> None:
    g = torch.Generator().manual_seed(seed)
    uv = view_plane_uv(96, 72, 96 / 72).double()
    depth = 2 + torch.rand(72, 96, generator=g, dtype=torch.double)
    points = torch.cat([uv * (depth / focal)[..., None], (depth - shift)[..., None]], dim=-1)
    found = recover_focal_shift(points[None])
    assert found.focal_B.item() == pytest.approx(focal, rel=1e-3)
    assert found.shift_B.item() == pytest.approx(shift, abs=3e-3)


def test_fewer_than_two_valid_points_give_the_neutral_camera() -> None:
    found = recover_focal_shift(torch.rand(1, 64, 64, 3), torch.zeros(1, 64, 64))
    assert (found.focal_B.item(), found.shift_B.item()) == (1.0, 0.0)


def test_without_noise_sampling_starts_from_nothing_and_any_noise_gives_one_answer():
    config = SamplerConfig(steps=1, guidance=0.0, noise_scale=0.0)
    target = torch.full((1, 2), 3.0)
    answers = [
        sample_euler(lambda x, t_B: x - target, torch.full((1, 2), noise), 1, config) for noise in (-5.0, 0.0, 5.0)
    ]
    for answer in answers:
        torch.testing.assert_close(answer, target)
    with pytest.raises(UsageError, match="scaled by 0 or more"):
        SamplerConfig(noise_scale=-1.0)
