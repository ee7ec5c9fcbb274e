"""The structure VAE's first two convolutions are computed as one, and are the same."""

import pytest
import torch

from models.structure_vae import SparseStructureEncoder, StructureEncoderConfig


@pytest.mark.parametrize("res_blocks", [0, 1])
def test_the_encoder_computes_what_its_layers_say(res_blocks: int) -> None:
    torch.manual_seed(0)
    encoder = SparseStructureEncoder(StructureEncoderConfig(1, 8, res_blocks, (8, 16, 32), 1))
    occupancy = (torch.rand(2, 1, 32, 32, 32) < 0.2).float()
    occupancy[0, :, :, :3] = 1  # the border, where the padding of the one is not that of the two
    x = encoder.input_layer(occupancy)
    for block in (*encoder.blocks, *encoder.middle_block):
        x = block(x)
    expected, _ = encoder.out_layer(x).chunk(2, dim=1)
    found, _ = encoder(occupancy)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    found.square().sum().backward()
    gradient = encoder.input_layer.weight.grad.clone()
    encoder.zero_grad()
    expected.square().sum().backward()
    torch.testing.assert_close(gradient, encoder.input_layer.weight.grad, atol=1e-3, rtol=1e-3)
