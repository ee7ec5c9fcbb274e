"""What keeps Gaussians small and opaque."""

import pytest
import torch

from models.gaussian_decoder import GaussianDecoder, Gaussians
from models.sparse.voxels import SparseTensor, VoxelSet
from pipelines.encoders.protocol import EncoderSizes
from pipelines.names import SIZE_NAMES
from pipelines.train.losses.gaussians import GaussianLoss, GaussianWeights
from pipelines.train.losses.images import ImageLoss, ImageWeights
from pipelines.train.settings.sizes import system_sizes

ENCODERS = EncoderSizes(64, 17, 32, 4, 8, 16)
PICTURES = torch.rand(1, 2, 3, 16, 16)


def fresh_gaussians(size: str) -> list[Gaussians]:
    voxels = VoxelSet(torch.tensor([[0, 5, 5, 5], [0, 5, 5, 6]], dtype=torch.int32), 1)
    decoder = GaussianDecoder(system_sizes(size, ENCODERS).gaussian_decoder)
    with torch.no_grad():
        return decoder(SparseTensor(torch.zeros(2, 8), voxels))


def test_fewer_and_larger_gaussians_pay_no_more_for_their_volume() -> None:
    loss = GaussianLoss(ImageLoss(ImageWeights()), GaussianWeights())
    paid = {size: loss(fresh_gaussians(size), PICTURES, PICTURES)[1]["volume"].item() for size in SIZE_NAMES}
    assert paid["official"] == pytest.approx(4.1e-3**3, rel=0.05)  # deviations of 0.004, and of 0.0009 in any case
    assert paid["tiny"] == pytest.approx(paid["official"], rel=0.1)
    assert paid["small"] == pytest.approx(paid["official"], rel=0.1)
