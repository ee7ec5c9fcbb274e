"""EfficientNet-Lite0: the packaged weights, and maps equal to those of the package that they were published with."""

import importlib.util

import pytest
import torch

from models import efficientnet
from models.efficientnet import CHANNELS, STRIDES, EfficientNetLite0, MissingPackage

REFERENCE = "efficientnet_lite_pytorch"


def test_maps_have_the_stated_strides_and_channels() -> None:
    network = EfficientNetLite0.from_package()
    maps = network.maps(torch.rand(2, 3, 96, 64))
    assert [tuple(m.shape) for m in maps] == [(2, c, 96 // s, 64 // s) for c, s in zip(CHANNELS, STRIDES, strict=True)]
    assert not any(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.skipif(importlib.util.find_spec(REFERENCE) is None, reason=f"{REFERENCE} is not installed")
def test_maps_equal_those_of_the_published_network(capsys) -> None:
    from efficientnet_lite_pytorch import EfficientNet

    weights = str(efficientnet.weights_file())
    published = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()
    capsys.readouterr()  # it talks
    images = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        x = published._swish(published._bn0(published._conv_stem((255 * images - 127) / 128)))
        outputs = []
        for block in published._blocks:
            outputs.append(x := block(x))
        maps = EfficientNetLite0.from_package().maps(images)
    for level, last in enumerate((0, 2, 4, 10, 15)):
        assert torch.equal(maps[level], outputs[last])


def test_a_missing_package_is_named(monkeypatch) -> None:
    monkeypatch.setattr(efficientnet, "PACKAGE", "efficientnet_that_nobody_installed")
    with pytest.raises(MissingPackage, match="pip install efficientnet_that_nobody_installed"):
        EfficientNetLite0.from_package()
