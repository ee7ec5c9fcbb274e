"""Perceptual distances: between pictures, in the features of a frozen network.

LPIPS needs weights that we may not ship. Without them, a distance of the same kind is measured with a network whose
weights come with a package, and is named after that network.

Shapes: B pictures [B, 3, H, W] in [0, 1].
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.efficientnet import NAME, EfficientNetLite0
from pipelines.errors import PipelineError

VGG_WIDTHS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
LPIPS_SHIFT, LPIPS_SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of pictures in [-1, 1]


class PerceptualDistance(Protocol):
    """A distance between pictures. name: of the loss term in logs."""

    name: str

    def __call__(self, prediction_B3HW: Tensor, target_B3HW: Tensor) -> Tensor:
        """[B] distances."""
        ...

    def networks(self) -> tuple[nn.Module, ...]:
        """Frozen networks, to be moved to the training device."""
        ...


class EfficientNetDistance:
    """Squared difference of unit feature vectors of EfficientNet-Lite0, averaged over pixels and over five levels."""

    name = f"{NAME}_distance"

    def __init__(self, network: EfficientNetLite0) -> None:
        self._network = network

    @classmethod
    def from_package(cls) -> Self:
        """Raises models.efficientnet.MissingPackage."""
        return cls(EfficientNetLite0.from_package())

    def networks(self) -> tuple[nn.Module, ...]:
        return (self._network,)

    def __call__(self, prediction_B3HW: Tensor, target_B3HW: Tensor) -> Tensor:
        """[B] distances in [0, 4]."""
        predicted = self._network.maps(prediction_B3HW)
        with torch.no_grad():
            wanted = self._network.maps(target_B3HW)
        levels = [_unit_difference(p, w).sum(1).flatten(1).mean(1) for p, w in zip(predicted, wanted, strict=True)]
        return torch.stack(levels).mean(0)


class Lpips(nn.Module):
    """LPIPS 0.1 on VGG-16 (Zhang et al. 2018): squared differences of unit features, weighted per channel."""

    name = "lpips"

    def __init__(self) -> None:
        super().__init__()
        self.features = _vgg16()
        self.channel_weights = nn.ParameterList(torch.zeros(1, widths[-1], 1, 1) for widths in VGG_WIDTHS)

    @classmethod
    def from_files(cls, vgg16: str | Path, linear: str | Path) -> Self:
        """vgg16: torchvision's ImageNet weights. linear: the `lpips` package's v0.1/vgg.pth.

        Raises PipelineError if the files hold other weights.
        """
        network = cls()
        stored = torch.load(vgg16, map_location="cpu", weights_only=True)
        layers = torch.load(linear, map_location="cpu", weights_only=True)
        try:
            network.features.load_state_dict(
                {key.removeprefix("features."): value for key, value in stored.items() if key.startswith("features.")}
            )
            for i, weight in enumerate(network.channel_weights):
                weight.data.copy_(layers[f"lin{i}.model.1.weight"])
        except (KeyError, RuntimeError) as error:
            raise PipelineError(f"{vgg16} and {linear} are not the weights of LPIPS on VGG-16: {error}") from error
        return network.eval().requires_grad_(False)

    def networks(self) -> tuple[nn.Module, ...]:
        return (self,)

    def forward(self, prediction_B3HW: Tensor, target_B3HW: Tensor) -> Tensor:
        """[B] distances."""
        predicted = self._maps(prediction_B3HW)
        with torch.no_grad():
            wanted = self._maps(target_B3HW)
        return torch.stack(
            [
                (_unit_difference(p, w) * weight).sum(1).flatten(1).mean(1)
                for p, w, weight in zip(predicted, wanted, self.channel_weights, strict=True)
            ]
        ).sum(0)

    def _maps(self, images_B3HW: Tensor) -> list[Tensor]:
        """Outputs of the last convolution of each resolution."""
        shift, scale = (images_B3HW.new_tensor(values).view(1, 3, 1, 1) for values in (LPIPS_SHIFT, LPIPS_SCALE))
        x, maps = (2 * images_B3HW - 1 - shift) / scale, []
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                maps.append(x)
            x = layer(x)
        return [*maps, x]


def _vgg16() -> nn.Sequential:
    """VGG-16 without its classifier and its last pooling; layers are numbered as in torchvision."""
    layers: list[nn.Module] = []
    width = 3
    for widths in VGG_WIDTHS:
        if layers:
            layers.append(nn.MaxPool2d(2))
        for out in widths:
            layers += [nn.Conv2d(width, out, 3, padding=1), nn.ReLU()]
            width = out
    return nn.Sequential(*layers)


def _unit_difference(a_BCHW: Tensor, b_BCHW: Tensor) -> Tensor:
    """[B, C, H, W]: squared difference of features normalised to length 1 over the channels."""
    return (F.normalize(a_BCHW.float(), dim=1) - F.normalize(b_BCHW.float(), dim=1)).square()
