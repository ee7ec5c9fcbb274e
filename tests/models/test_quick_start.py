"""How a flow starts that has some hundreds of steps to learn in."""

import pytest
import torch

from models.structure_flow import FlowConfig, SparseStructureFlow

TIMES = torch.tensor([0.6, 0.75, 0.9])


def flow(width: int = 96) -> SparseStructureFlow:
    torch.manual_seed(0)
    return SparseStructureFlow(FlowConfig(16, 8, width, 24, 8, 3, num_heads=4, patch_size=2, qk_rms_norm=True))


def velocity_of_noise(network: SparseStructureFlow, context: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What is predicted, and what is right where there are no data."""
    noise = torch.randn(3, 8, 16, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return network(TIMES.view(3, 1, 1, 1, 1) * noise, 1000 * TIMES, context), noise


def test_it_takes_noise_for_noise_before_the_first_step() -> None:
    predicted, noise = velocity_of_noise(flow().start_quickly(), torch.randn(3, 5, 24))
    for each, true in zip(predicted, noise, strict=True):
        assert (each - true).square().mean() < 0.25
        assert torch.corrcoef(torch.stack([each.flatten(), true.flatten()]))[0, 1] > 0.9


@pytest.mark.parametrize("width", [96, 48])
def test_every_weight_but_those_that_modulate_gets_a_gradient_in_the_first_step(width) -> None:
    network = flow(width).start_quickly()
    torch.nn.init.normal_(network.out_layer.weight)  # zero where the width does not hold a token's latents
    network(torch.randn(2, 8, 16, 16, 16), 1000 * torch.rand(2), torch.randn(2, 5, 24)).square().mean().backward()
    idle = {name for name, weight in network.named_parameters() if not weight.grad.any()}
    assert all(name.startswith("t_embedder") for name in idle)  # reached through the modulations, zero at first


def test_context_is_heard_before_the_first_step() -> None:
    network = flow().start_quickly()
    one, other = (velocity_of_noise(network, torch.randn(3, 5, 24))[0] for _ in range(2))
    assert not torch.allclose(one, other, atol=1e-3)
