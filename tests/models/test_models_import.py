"""`import models` needs PyTorch and nothing else."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
OTHERS = ("numpy", "PIL", "scipy", "safetensors", "huggingface_hub", "spconv", "pyarrow", "scenegen", "pipelines")


def test_importing_models_needs_only_torch() -> None:
    script = (
        "import sys, torch\n"
        f"for name in {OTHERS!r}:\n"
        "    if name not in sys.modules: sys.modules[name] = None\n"
        "import models, pkgutil, importlib\n"
        "for module in pkgutil.walk_packages(models.__path__, 'models.'):\n"
        "    if 'spconv' not in module.name: importlib.import_module(module.name)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)


def test_every_file_says_what_it_is_for_and_stays_small() -> None:
    for path in [*(ROOT / "models").rglob("*.py"), *(ROOT / "pipelines").glob("*.py")]:
        text = path.read_text()
        assert text.startswith('"""'), f"{path} has no docstring"
        assert text.count("\n") <= 320, f"{path} is long; split it"
