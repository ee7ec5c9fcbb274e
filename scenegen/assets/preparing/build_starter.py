"""Makes the embedded starter pack again: python -m scenegen.assets.preparing.build_starter --sh3f BlendSwap-CC-0.sh3f

The file is in the Debian package sweethome3d-furniture 1.8 (`scenegen assets fetch sweethome3d` gets it).
"""

import argparse
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from scenegen.assets import glb
from scenegen.assets.canonical import welded
from scenegen.assets.library import STARTER, Store
from scenegen.assets.manifest import AssetRecord, read_manifest, write_manifest
from scenegen.assets.preparing.asset import PrepareOptions, prepare_asset
from scenegen.assets.preparing.child_tools import ChildTools, TimeLimits
from scenegen.assets.preparing.convex import ConvexParts
from scenegen.assets.preparing.ledgers import Quarantined, append_quarantined
from scenegen.assets.sources.sweethome3d import read_library
from scenegen.errors import AssetError

log = logging.getLogger(__name__)

# Model name -> why it is left out; found by looking at the contact sheet.
LEFT_OUT: dict[str, str] = {
    "iphone": "a trademarked product",
    "peterbilt": "a trademarked truck",
    "showerDoor": "a door",
    "kitchenaid": "a trademarked product",
    "decorativePlant": "decimated to 7000 faces its stem is gone",
    "shower": "two pieces that float where a wall would be",
}
OPTIONS = PrepareOptions(texture_px=512, simplify_faces=7000, allow_missing_textures=True, sharded_folders=False)


class ReusingTools(ChildTools):
    """Reuses the convex parts that a store already holds for exactly the same mesh: they are most of the work."""

    def __init__(self, store: Store, again: Sequence[str]) -> None:
        super().__init__(TimeLimits())
        records = read_manifest(store.manifest) if store.manifest.is_file() else ()
        self._files = {r.uid: (store.root / r.file, r.parts_method) for r in records if r.uid not in again}

    def convex_parts(self, uid: str, vertices: np.ndarray, faces: np.ndarray) -> ConvexParts:
        path, method = self._files.get(uid, (None, ""))
        if path is not None and path.is_file():
            stored = glb.read_glb(path)
            old_vertices, old_faces = welded(glb.corners(stored))
            if np.array_equal(old_vertices, vertices) and np.array_equal(old_faces, faces):
                return ConvexParts(glb.convex_parts(stored), method)
        return super().convex_parts(uid, vertices, faces)


def build(sh3f: Path, only: Sequence[str] = ()) -> list[AssetRecord]:
    """Prepare the pack into the package's own store. only: uids to make again, their parts included; empty makes all.

    The manifest is written after each file, so that the pack can be used while it is being made.
    """
    store = Store.named(STARTER)
    quarantine = store.manifest.parents[1] / "quarantine" / "starter.jsonl"
    quarantine.parent.mkdir(parents=True, exist_ok=True)
    before = {r.uid: r for r in read_manifest(store.manifest)} if store.manifest.is_file() else {}
    made = {uid: record for uid, record in before.items() if only and uid not in only}
    if not only:
        quarantine.unlink(missing_ok=True)
    with ReusingTools(store, only) as tools:
        for raw in read_library(sh3f, frozenset(LEFT_OUT)):
            if only and raw.uid not in only:
                continue
            try:
                record = prepare_asset(raw, store.root, tools, OPTIONS)
                _refuse_duplicate(record, made.values())
            except AssetError as error:
                append_quarantined(quarantine, Quarantined(raw.uid, raw.source, raw.path, error.reason, raw.label))
                log.warning("%s", error)
                continue
            made[raw.uid] = record
            log.info("%s: %d bytes, %d parts (%s)", raw.uid, record.bytes, record.parts, record.parts_method)
            write_manifest(store.manifest, {**before, **made}.values())
    write_manifest(store.manifest, made.values())
    _remove_stale_files(store, list(made.values()))
    return list(made.values())


def _remove_stale_files(store: Store, kept: list[AssetRecord]) -> None:
    """Remove the files of models that are no longer in the pack."""
    for path in (store.root / "objects").glob("*.glb"):
        if path.relative_to(store.root).as_posix() not in {record.file for record in kept}:
            path.unlink()


def _refuse_duplicate(record: AssetRecord, others: Iterable[AssetRecord]) -> None:
    """Raises AssetError for a model with the number of faces and the extents of another one."""
    for other in others:
        if (other.faces, other.extents) == (record.faces, record.extents) and other.uid != record.uid:
            raise AssetError(record.uid, f"the same shape as {other.uid}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sh3f", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=())
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    build(arguments.sh3f, arguments.only)


if __name__ == "__main__":
    main()
