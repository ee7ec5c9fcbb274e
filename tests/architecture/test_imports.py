"""What may be imported where: by importing with packages blocked, and by reading. Floors: `test_layers.py`."""

import subprocess
import sys

import pytest
from source_imports import ROOT, imported_names, modules

HEAVY = ["bpy", "torch", "ray"]  # seconds or gigabytes, or not installed: imported inside the functions that use them

# Package or module → what none of its modules needs in order to be imported.
BLOCKED = {
    "scenegen.contract": [*HEAVY, "trimesh", "scipy", "pipelines", "models"],
    "scenegen.layout": [*HEAVY, "pipelines", "models"],
    "scenegen.assets": [*HEAVY, "pipelines", "models"],
    "scenegen.shards": [*HEAVY, "trimesh", "scipy", "pipelines", "models"],
    "scenegen.jobs": ["bpy", "torch", "pipelines", "models"],
    "scenegen.scenes": [*HEAVY, "pipelines", "models"],
    "scenegen.planning": [*HEAVY, "pipelines", "models"],
    "scenegen.rendering": ["bpy", "torch", "pipelines", "models"],
    "scenegen.annotate.alignment": [*HEAVY, "models", "scenegen.jobs", "pipelines"],
    "scenegen.annotate.shard": [*HEAVY, "models", "scenegen.jobs", "scenegen.layout", "pipelines"],
    "scenegen.annotate.run": [*HEAVY, "transformers", "models", "pipelines"],
    "scenegen.objects.run": [*HEAVY, "transformers", "models", "pipelines"],
    "scenegen.verify": [*HEAVY, "pipelines", "models"],
    "scenegen.hub": [*HEAVY, "scipy", "pipelines", "models"],
    "scenegen.view": [*HEAVY, "scipy", "scenegen.assets", "scenegen.shards", "pipelines", "models"],
    "scenegen.export": [*HEAVY, "scipy", "trimesh", "embreex", "h5py", "pycocotools", "pxr", "pipelines", "models"],
    "scenegen.commands": [*HEAVY, "numpy", "pybullet", "transformers", "pipelines", "models"],
    "scenegen.cli": [*HEAVY, "numpy", "pybullet", "transformers", "pipelines", "models"],
    "models": ["scenegen", "pipelines", "bpy", "safetensors", "huggingface_hub", "transformers"],
    "pipelines": ["bpy", "ray", "pybullet", "coacd", "fcl", "embreex", "psutil", "gsplat", "transformers"],
}

IMPORT_WITH_BLOCKED = """
import sys, importlib
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if any(name == b or name.startswith(b + ".") for b in {blocked!r}):
            raise ImportError(f"{{name}} must not be imported here")
sys.meta_path.insert(0, Blocked())
for module in {modules!r}:
    importlib.import_module(module)
"""
NEEDS_AN_EXTRA = {
    *("models.sparse.spconv_backend", "pipelines.complete.server.app", "pipelines.complete.server.guard"),
    *("scenegen.hub.push", "scenegen.hub.repository"),
}


@pytest.mark.parametrize("package", BLOCKED)
def test_a_package_imports_without_what_it_must_not_need(package):
    inside = [name for name in modules() if f"{name}.".startswith(f"{package}.") and name not in NEEDS_AN_EXTRA]
    assert inside, f"there is no {package}"
    code = IMPORT_WITH_BLOCKED.format(blocked=BLOCKED[package], modules=inside)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr


FORBIDDEN_ANYWHERE = [  # (files, except below, imported name)
    ("scenegen", "scenegen/blender", "bpy"),
    ("scenegen", ("scenegen/annotate", "scenegen/objects/networks", "scenegen/loading"), "torch"),
    ("scenegen", ("scenegen/annotate", "scenegen/objects/networks"), "models"),
    ("scenegen", ("scenegen/jobs", "scenegen/rendering", "scenegen/assets/preparing"), "ray"),
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
        if not path.relative_to(ROOT).as_posix().startswith(allowed)
        if name in {imported.split(".")[0] for imported in imported_names(path)}
    ]
    assert guilty == []


def test_pipelines_know_scenegen_only_by_its_contract():
    guilty = [
        (str(path.relative_to(ROOT)), name)
        for path in (ROOT / "pipelines").rglob("*.py")
        for name in imported_names(path)
        if name.startswith("scenegen") and not name.startswith("scenegen.contract")
    ]
    assert guilty == []
