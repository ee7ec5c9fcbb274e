"""`scenegen verify`: print what is wrong with a dataset and what to do about it."""

import sys
from itertools import chain

from scenegen.contract.records import Scene
from scenegen.contract.storage import Root
from scenegen.errors import AssetError
from scenegen.layout.shapes import Library
from scenegen.layout.spec import SceneSpec
from scenegen.objects.wanted_assets import used_assets
from scenegen.scenes.factory import open_library
from scenegen.shards.config_file import require_config
from scenegen.shards.objects import tables_of
from scenegen.shards.sidecars import estimators_of
from scenegen.verify.objects import verify_objects
from scenegen.verify.views import remedy, verify_dataset

_SHOWN = 50


class InterpenetrationAudit:
    """A second opinion on where objects stand, on the triangle meshes; picklable."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def __call__(self, scene: Scene) -> list[str]:
        """Sentences, none if no two things are in one place."""
        from scenegen.layout.audit import audit_scene

        try:
            findings = audit_scene(SceneSpec.from_json(scene.spec_json), self._library)
        except AssetError as error:
            return [f"cannot be checked: {error}"]
        return [f"{f.kind} of {f.first_id} and {f.second_id}, {f.depth_m * 1000:.2f} mm deep" for f in findings]


def verify(root: Root, deep: bool, processes: int, objects: Root) -> bool:
    """True if the dataset is what it promises to be. objects: where its objects tables are, if it has any."""
    stored = require_config(root)
    audit = InterpenetrationAudit(open_library(stored.config)) if deep else None
    problems = []
    checks = chain(
        verify_dataset(root, stored.config, stored.meta, processes, audit),
        verify_objects(objects, _used_assets(root), stored.meta, processes),
    )
    for problem in checks:
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
