"""`import models` needs PyTorch and nothing else; depth estimators, which see pictures, also numpy and Pillow."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
OTHERS = ("numpy", "PIL", "scipy", "safetensors", "huggingface_hub", "spconv", "pyarrow", "scenegen", "pipelines")
PICTURES = ("numpy", "PIL")
BUILD_THE_PACKAGED_ONES = """
from models.checkpoints import locate, pipeline_places, read_description
from models.registry import build
from models.weights import WithoutStorage
for place in pipeline_places("pipelines/pretrained/compact")[0].values():
    found = read_description(locate(place)[0])
    with WithoutStorage():
        network = build(found.class_name, found.args)
    assert all(parameter.is_meta for parameter in network.parameters())
assert not {"sympy", "torch._dynamo"} & sys.modules.keys()
"""


def import_all(wanted: str, forbidden: tuple[str, ...], then: str = "") -> None:
    """Import every module of which `wanted`, an expression of `name`, is true; then run some code."""
    script = (
        "import sys, torch\n"
        f"for name in {forbidden!r}:\n"
        "    if name not in sys.modules: sys.modules[name] = None\n"
        "import models, pkgutil, importlib\n"
        "for _, name, _ in pkgutil.walk_packages(models.__path__, 'models.'):\n"
        f"    if {wanted}: importlib.import_module(name)\n"
        f"{then}"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)


def test_importing_models_and_building_networks_needs_only_torch_and_not_its_compiler() -> None:
    import_all("'spconv' not in name and 'depth_estimators' not in name", OTHERS, then=BUILD_THE_PACKAGED_ONES)


def test_depth_estimators_need_the_packages_of_networks_only_when_one_is_loaded() -> None:
    others = tuple(name for name in OTHERS if name not in PICTURES)
    import_all("'depth_estimators' in name", (*others, "transformers", "vggt", "torchvision"))


def test_every_file_says_what_it_is_for_and_stays_small() -> None:
    for path in [*(ROOT / "models").rglob("*.py"), *(ROOT / "pipelines").glob("*.py")]:
        text = path.read_text()
        assert text.startswith('"""'), f"{path} has no docstring"
        assert text.count("\n") <= 320, f"{path} is long; split it"
