"""`scenegen verify` from beginning to end: find what is wrong with a dataset, print it and what to do about it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from scenegen.contract.records import Scene
from scenegen.contract.storage import Root
from scenegen.errors import AssetError
from scenegen.layout.spec import SceneSpec
from scenegen.objects.wanted_assets import used_assets
from scenegen.scenes.factory import open_library
from scenegen.shards.config_file import StoredConfig, require_config
from scenegen.shards.objects import tables_of
from scenegen.shards.sidecars import estimators_of
from scenegen.verify.objects import verify_objects
from scenegen.verify.problem import Problem, remedy
from scenegen.verify.views import verify_dataset

if TYPE_CHECKING:
    from scenegen.layout.shapes import Library  # its packages are for making scenes

_SHOWN = 50


class InterpenetrationAudit:
    """Checks the poses of the objects again, on their triangle meshes, with an independent engine. Picklable."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def __call__(self, scene: Scene) -> list[str]:
        """A sentence for each two things that interpenetrate."""
        from scenegen.layout.audit import audit_scene

        try:
            findings = audit_scene(SceneSpec.from_json(scene.spec_json), self._library)
        except AssetError as error:
            return [f"cannot be checked: {error}"]
        return [f"{f.kind} of {f.first_id} and {f.second_id}, {f.depth_m * 1000:.2f} mm deep" for f in findings]


def find_problems(root: Root, stored: StoredConfig, deep: bool, processes: int, objects: Root) -> Iterator[Problem]:
    """Everything that is wrong with a dataset: its views with their depth sidecars, then its objects tables."""
    audit = InterpenetrationAudit(open_library(stored.config)) if deep else None
    yield from verify_dataset(root, stored.config, stored.meta, processes, audit)
    yield from verify_objects(objects, _used_assets(root), stored.meta, processes)


def verify(root: Root, deep: bool, processes: int, objects: Root) -> bool:
    """Print the problems and the advice. True if the dataset is what it promises to be.

    deep: also check that no two objects of a scene interpenetrate. objects: where the objects tables are, if any.
    Raises SceneGenError if there is no dataset.
    """
    stored = require_config(root)
    problems = []
    for problem in find_problems(root, stored, deep, processes, objects):
        problems.append(problem)
        if len(problems) <= _SHOWN:
            sys.stdout.write(f"{problem}\n")
    if problems:
        more = f" (the first {_SHOWN} are shown)" if len(problems) > _SHOWN else ""
        sys.stdout.write(f"{len(problems)} problems{more}.\n{remedy(root, problems)}\n")
        return False
    what = "hashes, schemas, rows and scene coverage" + (", no two objects in one place" if deep else "")
    what += "".join(f", depth of {name}" for name in estimators_of(root))
    what += "".join(f", {table}" for table in tables_of(objects))
    sys.stdout.write(f"{root.location}: all {stored.config.num_shards} shards are as promised ({what})\n")
    return True


def _used_assets(root: Root) -> dict[str, str]:
    """sha256 of every asset that the scenes show; none where no scene can be read."""
    try:
        return used_assets(root)
    except (ValueError, OSError):
        return {}
