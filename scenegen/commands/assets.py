"""`scenegen assets ...`: list, fetch, prepare, check, notice."""

import json
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import tyro

from scenegen.assets import hdris, materials
from scenegen.assets.fetch import fetch_sweethome3d
from scenegen.assets.files import FileLibrary, write_folder_manifest
from scenegen.assets.library import AssetLibrary, Store
from scenegen.assets.manifest import AssetRecord, read_manifest
from scenegen.assets.notice import notice
from scenegen.assets.preparing.ledgers import QUARANTINE, raw_files, read_quarantined
from scenegen.assets.sources.folder import read_folder
from scenegen.assets.sources.raw import RawAsset
from scenegen.assets.sources.sweethome3d import read_library
from scenegen.assets.sources.trellis import RowFilter, read_collection
from scenegen.config import AssetsConfig
from scenegen.contract.help_page import MAIN, HelpGroups
from scenegen.errors import EXIT_DONE, EXIT_ERROR, EXIT_INTERRUPTED, AssetError, UsageError

Source = Literal[
    "folder", "sweethome3d", "ObjaverseXL_sketchfab", "ObjaverseXL_github", "ABO", "3D-FUTURE", "HSSD", "Toys4k"
]

MOST_REFUSED = 20


def say(line: str) -> None:
    sys.stdout.write(line + "\n")


@dataclass(frozen=True)
class List:
    """Count the assets of stores by split, licence and category."""

    store: tuple[str, ...] = ("starter",)
    """Prepared stores: "starter" or folders."""
    records: bool = False
    """Print the record of every asset as a line of JSON, instead of the counts."""

    def run(self) -> int:
        """Print the records or the counts."""
        found = [record for name in self.store for record in read_manifest(Store.named(name).manifest)]
        if self.records:
            for record in found:
                say(json.dumps({name: getattr(record, name) for name in record.__slots__}, ensure_ascii=False))
            return EXIT_DONE
        say(f"{len(found)} objects, {sum(r.bytes for r in found) / 1e6:.1f} MB, {sum(r.faces for r in found)} faces")
        for title, key in (("split", "split"), ("licence", "licence"), ("category", "category"), ("source", "source")):
            counts = Counter(getattr(record, key) for record in found)
            say(f"{title}: " + ", ".join(f"{name or '(none)'} {count}" for name, count in counts.most_common()))
        return EXIT_DONE


@dataclass(frozen=True)
class Fetch:
    """Download a public collection of models.

    sweethome3d is the Debian package sweethome3d-furniture (120 MB).
    """

    what: tyro.conf.Positional[Literal["sweethome3d"]] = "sweethome3d"
    """Which collection."""
    out: Path = Path("assets/sweethome3d")
    """The folder that gets the .sh3f libraries and their attribution file."""
    deb: Path | None = None
    """The package as a local file, instead of downloading it."""

    def run(self) -> int:
        """Download, unpack, write ATTRIBUTION.txt, and say what to do next."""
        libraries = fetch_sweethome3d(self.out, self.deb)
        for path, count in libraries:
            say(f"{path}: {count} usable models")
        say(f"next: scenegen assets prepare --source sweethome3d --input {self.out} --out STORE")
        return EXIT_DONE


@dataclass(frozen=True)
class Prepare:
    """Bring raw models into canonical form, with a manifest.

    Each model becomes one GLB with its convex parts. Stop at any time; the same command resumes.
    """

    input: Path
    """A folder of model files, a collection's raw folder, a .sh3f file or a folder of them."""
    out: Path
    """The asset store, a folder; assets that it holds already are kept."""
    source: Source = "folder"
    """What the input is: a plain folder of models, or a known collection."""
    metadata: Path | None = None
    """TRELLIS-500K's metadata.csv of the collection, if it is not in the input."""
    name: str = ""
    """Name of the collection in the records. Default: the source, or the folder's name."""
    licence: str = "NOASSERTION"
    """Licence of the models of a plain folder, as an SPDX id."""
    author: str = ""
    """Author of the models of a plain folder."""
    min_aesthetic_score: float | None = None
    """Leave out models with a lower score or without one."""
    licences: tuple[str, ...] = ()
    """Leave out models of other licences than these SPDX ids. Default: keep all."""
    max_file_mb: float | None = None
    """Leave out larger raw files."""
    max_faces: int = 1_000_000
    """Refuse models with more faces; they are listed in the store's quarantine."""
    simplify_faces: int | None = None
    """Decimate models with more faces to this many."""
    texture_px: int = 1024
    """Scale textures down to this length of their longer side."""
    allow_missing_textures: bool = False
    """Use the material's colour where a texture is missing, instead of refusing the model."""
    workers: int | None = None
    """Models at a time. Default: one for each core."""
    timeout_s: float = 120.0
    """Seconds that one model may take in Blender."""
    parts_timeout_s: float = 60.0
    """Seconds that its convex decomposition may take; after that, one convex hull is used."""
    retry_quarantined: bool = False
    """Try models again that were refused before."""
    ray_address: str = ""
    """A running Ray cluster that prepares the models, instead of this machine."""

    HELP_GROUPS: ClassVar[HelpGroups] = {
        MAIN: "input out source licence workers",
        "what the collection is": "name author metadata",
        "which models are taken": "licences min-aesthetic-score max-file-mb max-faces retry-quarantined",
        "what becomes of them": "simplify-faces texture-px allow-missing-textures",
        "how it is computed": "timeout-s parts-timeout-s ray-address",
    }

    def run(self) -> int:
        """Prepare what is not there yet; exit code 75 when stopped by a signal."""
        from scenegen.assets.model_files.safety import Limits
        from scenegen.assets.preparing.asset import PrepareOptions
        from scenegen.assets.preparing.child_tools import TimeLimits
        from scenegen.assets.preparing.collection import PrepareJob
        from scenegen.assets.preparing.run import run_prepare

        limits = Limits(max_faces=self.max_faces)
        options = PrepareOptions(self.texture_px, self.simplify_faces, self.allow_missing_textures, True, limits)
        times = TimeLimits(self.timeout_s, self.parts_timeout_s)
        job = PrepareJob(self.out, options, times, self.workers or 0, self.retry_quarantined)
        assets = self.assets()
        tally = run_prepare(assets, job, self.ray_address, threading.Event())
        return EXIT_INTERRUPTED if tally.interrupted else EXIT_DONE

    def assets(self) -> Iterator[RawAsset]:
        """The raw assets that pass the filters. Raises UsageError if the input is not what the source says."""
        if not self.input.exists():
            raise UsageError(f"there is no {self.input}; give the folder or file with the raw models")
        max_bytes = None if self.max_file_mb is None else int(self.max_file_mb * 1e6)
        if self.source == "folder":
            return read_folder(self.input, self.name or self.input.name, self.licence, self.author)
        if self.source == "sweethome3d":
            return self._sweethome3d()
        keep = RowFilter(self.min_aesthetic_score, max_bytes, self.licences)
        return read_collection(self.source, self.input, self.metadata, keep)

    def _sweethome3d(self) -> Iterator[RawAsset]:
        files = [self.input] if self.input.is_file() else sorted(self.input.glob("*.sh3f"))
        if not files:
            raise UsageError(f"{self.input} holds no .sh3f file; get them with: scenegen assets fetch")
        for file in files:
            for raw in read_library(file):
                if not self.licences or raw.licence in self.licences:
                    yield raw


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
            index = hdris.index_folder if self.kind == "hdris" else materials.index_folder
            say(f"{write_folder_manifest(self.write, index(self.write))} {self.kind} in {self.write}/manifest.jsonl")
            return EXIT_DONE
        config = AssetsConfig(objects=self.store, hdris=self.hdris, materials=self.materials, split="all")
        library = AssetLibrary.open(config)
        stores = [Store.named(name).root for name in self.store]
        made_from = {uid: file for store in stores for uid, file in raw_files(store).items()}
        faults = sum(_faulty(library, uid, made_from.get(uid) or library.records[uid].name) for uid in library.records)
        say(f"{len(library.records)} objects checked, {faults} faulty")
        for store in stores:
            _say_refused(store, made_from)
        for files in (hdris.HdriLibrary.open(config), materials.MaterialLibrary.open(config)):
            wrong = sum(_unreadable(files, uid) for uid in files.uids)
            say(f"{len(files.uids)} {type(files).__name__.removesuffix('Library').lower()}s checked, {wrong} faulty")
            faults += wrong
        return EXIT_ERROR if faults else EXIT_DONE


@dataclass(frozen=True)
class Notice:
    """Print the attribution that the assets of a dataset ask for."""

    data: str | None = None
    """A dataset, of which the assets in its scenes are named. Default: all assets of --store."""
    store: tuple[str, ...] = ("starter",)
    """Prepared stores, "starter" or folders, if no dataset says them."""
    out: Path | None = None
    """A file that gets the text. Default: the terminal."""

    def run(self) -> int:
        """Print or write the text."""
        text = notice(self._records())
        if self.out is None:
            say(text)
        else:
            self.out.write_text(text)
            say(f"{self.out} written")
        return EXIT_DONE

    def _records(self) -> list[AssetRecord]:
        if self.data is None:
            library = AssetLibrary.open(AssetsConfig(objects=self.store, split="all"))
            return list(library.records.values())
        from scenegen.assets.preparing.run import records_of_dataset

        return records_of_dataset(self.data)


def _say_refused(store: Path, made_from: dict[str, str]) -> None:
    """The models that preparation refused, but for those that got into the store later."""
    later = {*made_from, *made_from.values()}
    entries = read_quarantined(store / QUARANTINE).values()
    refused = [entry for entry in entries if entry.uid not in later and entry.label not in later]
    if refused:
        say(f"{len(refused)} were refused when {store} was prepared (all of them are in {store / QUARANTINE}):")
    for entry in refused[:MOST_REFUSED]:
        say(f"  {entry.shown}: {entry.reason} (uid {entry.uid})")


def _faulty(library: AssetLibrary, uid: str, made_from: str) -> bool:
    try:
        mesh, parts = library.mesh(uid), library.convex_parts(uid)
        if len(mesh.faces) != library.records[uid].faces or not parts:
            raise AssetError(uid, f"{len(mesh.faces)} faces, the manifest says {library.records[uid].faces}")
    except AssetError as error:
        say(f"{made_from}: {error.reason} (uid {uid})" if made_from else str(error))
        return True
    return False


def _unreadable(files: FileLibrary, uid: str) -> bool:
    try:
        files.path(uid)
    except AssetError as error:
        say(str(error))
        return True
    return False
