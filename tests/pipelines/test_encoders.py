"""Image encoders: what they promise in `sizes` is what comes out, and what is missing is said."""

import pytest
import torch

from models.checkpoints import CheckpointError
from models.dinov2 import DinoConfig, DinoVisionTransformer
from models.moge import Moge, MogeConfig
from models.moge_layers import ConvStackConfig
from pipelines.conditioning import fold_to_tokens
from pipelines.encoders.efficientnet import EfficientNetEncoders
from pipelines.encoders.official import OfficialEncoders
from pipelines.encoders.protocol import ImageEncoders
from pipelines.encoders.registry import load_encoders
from pipelines.encoders.remembering import RememberingEncoders
from pipelines.errors import UsageError

BACKBONE = DinoConfig(img_size=56, embed_dim=32, depth=2, num_heads=2, num_register_tokens=4)
NECK = ConvStackConfig(
    dim_in=(34, 2, 2, 2, 2),
    dim_res_blocks=(32, 16, 8, 8, 8),
    dim_out=(None,) * 5,
    num_res_blocks=(0,) * 5,
    resamplers=("bilinear",) * 4,
    res_block_in_norm="none",
    res_block_hidden_norm="none",
)


def official_pair(width: int = 32) -> OfficialEncoders:
    """The official classes at a small size."""
    torch.manual_seed(0)
    dino = DinoVisionTransformer(DinoConfig(**{**vars(BACKBONE), "embed_dim": width}))
    moge = Moge(MogeConfig(BACKBONE, intermediate_layers=(0, 1), dim_out=32, neck=NECK))
    return OfficialEncoders(dino, moge, image_px=56)


def efficientnet() -> ImageEncoders:
    return load_encoders("efficientnet_lite0")


ENCODERS = pytest.mark.parametrize("make", [official_pair, efficientnet])


@ENCODERS
def test_outputs_have_the_stated_sizes(make) -> None:
    encoders = make()
    sizes, images = encoders.sizes, torch.rand(2, 3, encoders.sizes.image_px, encoders.sizes.image_px)
    scene = encoders.scene_features(images)
    assert encoders.image_tokens(images).shape == (2, sizes.tokens, sizes.width)
    assert scene.tokens_BDhw.shape == (2, sizes.width, sizes.scene_grid, sizes.scene_grid)
    assert scene.detail_BFHW.shape[:2] == (2, sizes.detail_channels)


@ENCODERS
def test_the_detailed_map_folds_onto_the_tokens_of_the_scene(make) -> None:
    encoders = make()
    sizes = encoders.sizes
    detail = encoders.scene_features(torch.rand(1, 3, sizes.image_px, sizes.image_px)).detail_BFHW
    folded = fold_to_tokens(detail, sizes.width, detail.shape[-1] // sizes.scene_grid)
    assert folded.shape == (1, sizes.scene_grid**2, sizes.width)
    assert sizes.tokens >= sizes.scene_grid**2


@ENCODERS
def test_nothing_that_they_compute_has_a_gradient(make) -> None:
    encoders = make()
    images = torch.rand(1, 3, encoders.sizes.image_px, encoders.sizes.image_px, requires_grad=True)
    assert not encoders.image_tokens(images).requires_grad
    assert not encoders.scene_features(images).detail_BFHW.requires_grad
    assert not any(p.requires_grad for network in encoders.networks() for p in network.parameters())


@ENCODERS
def test_an_image_is_encoded_the_same_in_any_batch(make) -> None:
    encoders = make()
    images = torch.rand(3, 3, encoders.sizes.image_px, encoders.sizes.image_px)
    torch.testing.assert_close(encoders.image_tokens(images)[1:2], encoders.image_tokens(images[1:2]))


def test_tokens_say_where_they_are_even_on_a_uniform_image() -> None:
    encoders = efficientnet()
    patches = encoders.image_tokens(torch.full((1, 3, 128, 128), 0.5))[0, 1:]
    distance = torch.cdist(patches, patches) + torch.eye(len(patches))
    assert distance.min() > 0.1


def test_encoders_of_different_width_are_refused() -> None:
    with pytest.raises(ValueError, match="equal width"):
        official_pair(width=64)


def test_missing_official_weights_are_named_with_their_address() -> None:
    with pytest.raises(CheckpointError, match=r"moge-2-vitl/resolve(.|\n)*--encoder-weights moge2=FILE"):
        load_encoders("official", {"dinov2": "dinov2.pth"})
    with pytest.raises(CheckpointError, match="no weights at /nowhere"):
        load_encoders("official", {"dinov2": "/nowhere/dinov2.pth", "moge2": "/nowhere/model.pt"})


def test_unknown_names_and_sizes_are_refused() -> None:
    with pytest.raises(UsageError, match="choose one of official, efficientnet_lite0"):
        load_encoders("clip")
    with pytest.raises(UsageError, match="518"):
        load_encoders("official", image_px=224)
    with pytest.raises(ValueError, match="multiple of 32"):
        load_encoders("efficientnet_lite0", image_px=100)
    assert isinstance(load_encoders("efficientnet_lite0", image_px=64), EfficientNetEncoders)


class Counting:
    """The small encoders, counting the images that they are asked for."""

    def __init__(self) -> None:
        self.of, self.asked = efficientnet(), 0
        self.name, self.sizes = self.of.name, self.of.sizes

    def networks(self):
        return self.of.networks()

    def image_tokens(self, images):
        self.asked += len(images)
        return self.of.image_tokens(images)

    def scene_features(self, images):
        self.asked += len(images)
        return self.of.scene_features(images)


def test_remembering_encoders_answer_alike_and_encode_an_image_once():
    counting = Counting()
    remembering = RememberingEncoders(counting)
    images = (torch.rand(3, 3, 128, 128, generator=torch.Generator().manual_seed(0)) * 255).round() / 255
    tokens = counting.of.image_tokens(images)
    for _ in range(2):
        torch.testing.assert_close(
            remembering.image_tokens(images[[0, 1, 0, 2]]), tokens[[0, 1, 0, 2]], atol=2e-3, rtol=2e-3
        )
    assert counting.asked == 3
    scene, known = remembering.scene_features(images), counting.of.scene_features(images)
    torch.testing.assert_close(scene.detail_BFHW, known.detail_BFHW, atol=2e-3, rtol=2e-3)
    torch.testing.assert_close(remembering.scene_features(images).tokens_BDhw, scene.tokens_BDhw)
    assert counting.asked == 6, "tokens and scene features are apart"


def test_remembering_encoders_forget_what_was_not_asked_for_the_longest():
    counting = Counting()
    of_one = counting.sizes.tokens * counting.sizes.width * 2
    remembering = RememberingEncoders(counting, max_bytes=2 * of_one)
    images = torch.rand(3, 3, 128, 128)
    for number in (0, 1, 0, 2, 0, 1):
        remembering.image_tokens(images[number : number + 1])
    assert counting.asked == 4, "0, 1, 2, and 1 again, which 2 had pushed out"
