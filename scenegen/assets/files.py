"""Assets that need no preparation (environment maps, materials): files of a folder, listed by a manifest."""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from scenegen.assets.manifest import AssetRecord, read_manifest, write_manifest
from scenegen.errors import AssetError, SceneGenError, UsageError

MANIFEST = "manifest.jsonl"
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tga", ".bmp", ".tif", ".tiff", ".webp", ".exr", ".hdr", ".dds", ".gif")
# Without a manifest every process has to read every file once; folders larger than this need a manifest.
MAX_UNLISTED_BYTES = 4 << 30


@dataclass(frozen=True, slots=True)
class Found:
    """A record and the file or folder that it describes."""

    record: AssetRecord
    path: Path


class FileLibrary:
    """Files by uid, each verified when it is first asked for."""

    def __init__(self, found: dict[str, Found]) -> None:
        self._found = dict(sorted(found.items()))
        self._verified: set[str] = set()

    @property
    def uids(self) -> tuple[str, ...]:
        return tuple(self._found)

    @property
    def records(self) -> dict[str, AssetRecord]:
        return {uid: found.record for uid, found in self._found.items()}

    @property
    def digest(self) -> str:
        """sha256 over all records."""
        lines = (json.dumps(asdict(found.record), sort_keys=True) for found in self._found.values())
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def path(self, uid: str) -> Path:
        """The verified file or folder. Raises AssetError if it is unknown, missing or not the manifest's."""
        if uid not in self._found:
            raise AssetError(uid, "not in this library; check the folders of the configuration")
        found = self._found[uid]
        if uid not in self._verified:
            try:
                digest = content_sha256(found.path)
            except OSError as error:
                raise AssetError(uid, f"cannot read {found.path} ({error.strerror}); get it again") from None
            if digest != found.record.sha256:
                raise AssetError(uid, f"{found.path} is not the file of the manifest (sha256 differs); get it again")
            self._verified.add(uid)
        return found.path


def content_sha256(path: Path) -> str:
    """The sha256 of a file, or of a folder's files and their names."""
    if path.is_file():
        with path.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    total = hashlib.sha256()
    for file in sorted(p for p in path.iterdir() if p.is_file() and p.name != MANIFEST):
        total.update(f"{file.name}\0{content_sha256(file)}\n".encode())
    return total.hexdigest()


def open_folder(name: str, what: str, index: Callable[[Path], Iterable[AssetRecord]]) -> dict[str, Found]:
    """The entries of a folder: those of its manifest.jsonl, or, where there is none, what `index` finds.

    Raises UsageError for a folder that is missing, empty, or too large to go without a manifest.
    """
    root = Path(name)
    if not root.is_dir():
        raise UsageError(f"there is no folder {name}; give one with a {what} in it")
    if (root / MANIFEST).is_file():
        records = list(read_manifest(root / MANIFEST))
    else:
        _refuse_unlisted(root)
        records = list(index(root))
    if not records:
        raise UsageError(f"{name} holds no {what}; put some there or leave it out")
    for record in records:
        if not (root / record.file).resolve().is_relative_to(root.resolve()):
            raise SceneGenError(f"{root / MANIFEST} names {record.file}, which leaves the folder; mend the manifest")
    return {record.uid: Found(record, root / record.file) for record in records}


def _refuse_unlisted(root: Path) -> None:
    total = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    if total > MAX_UNLISTED_BYTES:
        raise UsageError(
            f"{root} holds {total >> 30} GB without a manifest; write it once: scenegen assets check --write {root}"
        )


def write_folder_manifest(root: Path, records: Iterable[AssetRecord]) -> int:
    """Write the folder's manifest; the number of entries."""
    listed = list(records)
    write_manifest(root / MANIFEST, listed)
    return len(listed)
