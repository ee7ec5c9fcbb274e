"""Commands where only the default packages are installed."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WITHOUT = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("bpy", "fcl", "psutil", "pybullet", "ray", "scipy", "torch", "trimesh"):
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
from {cli} import main
sys.exit(main({words}))
"""
COMPLETE, EVALUATE, TRAIN = "pipelines.complete.cli", "pipelines.evaluate.cli", "pipelines.train.cli"


def run(cli: str, words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    code = WITHOUT.format(cli=cli, words=[word.format(data=folder) for word in words])
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120)


@pytest.mark.parametrize(
    ("cli", "words", "extra"),
    [
        (COMPLETE, ["--shards", "{data}", "--view", "0", "--out", "scene.glb"], "train"),
        (COMPLETE, ["--batch", "photos", "--out", "results"], "train"),
        (EVALUATE, ["--shards", "{data}", "--baseline", "visible_points"], "train"),
        (TRAIN, ["--shards", "{data}", "--size", "tiny"], "train"),
        ("scenegen.cli", ["plan", "--num-scenes", "9"], "render"),
        ("scenegen.cli", ["annotate", "--data", "{data}", "--estimators", "simulated"], "render"),
        ("scenegen.cli", ["scene", "--index", "1"], "render"),
    ],
)
def test_the_extra_is_named_in_a_line(cli: str, words: list[str], extra: str, dataset_dir: Path) -> None:
    done = run(cli, words, dataset_dir)
    assert done.returncode == 1
    assert done.stderr.endswith(f"is not installed; pip install 'fixer3d[{extra}]'\n") and done.stderr.count("\n") == 1


def test_what_only_reads_needs_none_of_them(dataset_dir: Path, tmp_path: Path) -> None:
    for words in (["view", "--data", "{data}", "--out", str(tmp_path)], ["verify", "--data", "{data}"]):
        assert "not installed" not in run("scenegen.cli", words, dataset_dir).stderr
    assert (tmp_path / "index.html").is_file()
