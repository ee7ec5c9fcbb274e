"""The table of model files: what people's files are like, each made by its own code, with what is right."""

from pathlib import Path

from scenegen.jobs.child import KillableChild
from tests.real_files import blender_written, gltf_looks, gltf_refusals, gltf_shapes, obj_cases, scan_cases
from tests.real_files.model_case import Expected, ModelCase

_TABLES = (gltf_shapes, gltf_looks, gltf_refusals, obj_cases, scan_cases, blender_written)
CASES: tuple[ModelCase, ...] = tuple(case for table in _TABLES for case in table.CASES)


def write_all(root: Path) -> dict[str, Expected]:
    """Every case in a folder of its own below `root`; what is right, by the name of the case."""
    root.mkdir()
    child = KillableChild("tests.real_files.blender_written:write_all")
    try:
        child.call(120, root)
    finally:
        child.close()
    right = {}
    for case in CASES:
        folder = root / case.name
        folder.mkdir(exist_ok=True)
        right[case.name] = case.write(folder)
    return right
