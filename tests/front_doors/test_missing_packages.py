"""Commands of the training half where only the default packages are installed."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WITHOUT = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "scipy", "trimesh"):
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
from pipelines.{room}.cli import main
sys.exit(main({words}))
"""


@pytest.mark.parametrize(
    ("room", "words"),
    [
        ("complete", ["--shards", "data", "--view", "0", "--out", "scene.glb"]),
        ("complete", ["--batch", "photos", "--out", "results"]),
        ("evaluate", ["--shards", "data", "--baseline", "visible_points"]),
        ("train", ["--shards", "data", "--size", "tiny"]),
    ],
)
def test_the_extra_is_named_in_a_line(room: str, words: list[str]) -> None:
    code = WITHOUT.format(room=room, words=words)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 1
    assert done.stderr.endswith("is not installed; pip install 'fixer3d[train]'\n") and done.stderr.count("\n") == 1
