"""The import rules of the architecture, checked by importing with the forbidden packages blocked, and by reading."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

BLOCKED = {
    "scenegen.contract": ["bpy", "torch", "ray", "trimesh", "scenegen.layout", "scenegen.jobs", "pipelines", "models"],
    "scenegen.layout": ["bpy", "torch", "ray", "scenegen.blender", "scenegen.jobs", "pipelines", "models"],
    "scenegen.assets": ["bpy", "torch", "ray", "scenegen.layout", "scenegen.jobs", "pipelines", "models"],
    "scenegen.blender": ["bpy", "torch", "ray", "scenegen.jobs", "pipelines", "models"],
    "scenegen.shards": ["bpy", "torch", "scenegen.jobs", "scenegen.blender", "pipelines", "models"],
    "scenegen.jobs": ["bpy", "torch", "pipelines", "models"],
    "scenegen.view": ["bpy", "torch", "ray", "scenegen.blender", "scenegen.jobs", "pipelines", "models"],
    "scenegen.commands.annotate": ["bpy", "torch", "transformers", "ray", "models", "pipelines"],
    "scenegen.annotate.alignment": ["bpy", "torch", "ray", "models", "scenegen.jobs", "pipelines"],
    "scenegen.annotate.shard": ["bpy", "torch", "ray", "models", "scenegen.jobs", "scenegen.layout", "pipelines"],
    "scenegen.cli": ["bpy", "torch", "ray", "pybullet", "trimesh"],
    "models": ["scenegen", "pipelines", "bpy", "spconv", "safetensors", "huggingface_hub"],
    "pipelines": ["bpy", "scenegen.layout", "scenegen.jobs", "scenegen.blender", "scenegen.assets", "scenegen.shards"],
}

IMPORT_WITH_BLOCKED = """
import sys, importlib
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if any(name == b or name.startswith(b + ".") for b in {blocked!r}):
            raise ImportError(f"{{name}} must not be imported here")
sys.meta_path.insert(0, Blocked())
importlib.import_module({package!r})
"""


@pytest.mark.parametrize("package", BLOCKED)
def test_a_package_imports_without_what_it_must_not_need(package):
    place = ROOT / package.replace(".", "/")
    if not (place.exists() or place.with_suffix(".py").exists()):
        pytest.skip(f"{package} is not part of this version")
    code = IMPORT_WITH_BLOCKED.format(blocked=BLOCKED[package], package=package)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr


FORBIDDEN_ANYWHERE = [  # (files, except below, imported name)
    ("scenegen", "scenegen/blender", "bpy"),
    ("scenegen", ("scenegen/annotate", "scenegen/objects/networks"), "torch"),
    ("scenegen", "nowhere", "pipelines"),
    ("models", "nowhere", "scenegen"),
    ("models", "nowhere", "pipelines"),
    ("pipelines", "nowhere", "bpy"),
]


@pytest.mark.parametrize(("folder", "allowed", "name"), FORBIDDEN_ANYWHERE)
def test_no_file_imports_across_the_seam(folder, allowed, name):
    guilty = [
        str(path.relative_to(ROOT))
        for path in (ROOT / folder).rglob("*.py")
        if not path.relative_to(ROOT).as_posix().startswith(allowed) and name in _imported(path)
    ]
    assert guilty == []


def test_pipelines_know_scenegen_only_by_its_contract():
    guilty = [
        (str(path.relative_to(ROOT)), name)
        for path in (ROOT / "pipelines").rglob("*.py")
        for name in _imported(path, whole=True)
        if name.startswith("scenegen") and not name.startswith("scenegen.contract")
    ]
    assert guilty == []


def _imported(path: Path, whole: bool = False) -> set[str]:
    """Names that a file imports anywhere, also inside functions; their first part unless `whole`."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module)
    return names if whole else {name.split(".")[0] for name in names}
