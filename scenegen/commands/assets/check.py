"""`scenegen assets check`: verify asset files against their manifests."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from scenegen.config import AssetsConfig
from scenegen.errors import EXIT_DONE, EXIT_ERROR


@dataclass(frozen=True)
class Check:
    """Verify every asset file against its manifest.

    Or write the manifest of a folder of environment maps or materials. Models that were refused when a store was
    prepared are named, and are no fault of the store.
    """

    store: tuple[str, ...] = ("starter",)
    """Prepared stores: "starter" or folders."""
    hdris: tuple[str, ...] = ("bpy",)
    """Environment maps: "bpy" or folders."""
    materials: tuple[str, ...] = ("procedural",)
    """Materials: "procedural" or folders."""
    write: Path | None = None
    """Instead of checking, write manifest.jsonl of this folder of environment maps or materials."""
    kind: Literal["hdris", "materials"] = "hdris"
    """What the folder of --write holds."""

    def run(self) -> int:
        """One line for every fault; exit code 1 if there is one."""
        if self.write is not None:
            return self._write_manifest(self.write)
        from scenegen.assets.hdris import HdriLibrary
        from scenegen.assets.library import AssetLibrary, Store
        from scenegen.assets.materials import MaterialLibrary
        from scenegen.assets.preparing.check import file_faults, model_faults, refused_models
        from scenegen.assets.preparing.ledgers import raw_files

        config = AssetsConfig(objects=self.store, hdris=self.hdris, materials=self.materials, split="all")
        library = AssetLibrary.open(config)
        stores = [Store.named(name).root for name in self.store]
        made_from = {uid: file for store in stores for uid, file in raw_files(store).items()}
        faults = _print(model_faults(library, made_from))
        _print([f"{len(library.records)} objects checked, {faults} faulty"])
        for store in stores:
            _print(refused_models(store, made_from))
        for files in (HdriLibrary.open(config), MaterialLibrary.open(config)):
            wrong = _print(file_faults(files))
            kind = type(files).__name__.removesuffix("Library").lower()
            _print([f"{len(files.uids)} {kind}s checked, {wrong} faulty"])
            faults += wrong
        return EXIT_ERROR if faults else EXIT_DONE

    def _write_manifest(self, folder: Path) -> int:
        from scenegen.assets import hdris, materials
        from scenegen.assets.files import write_folder_manifest

        index = hdris.index_folder if self.kind == "hdris" else materials.index_folder
        count = write_folder_manifest(folder, index(folder))
        _print([f"{count} {self.kind} in {folder}/manifest.jsonl"])
        return EXIT_DONE


def _print(lines: Iterable[str]) -> int:
    """Print the lines as they come; returns how many there were."""
    count = 0
    for line in lines:
        sys.stdout.write(line + "\n")
        count += 1
    return count
