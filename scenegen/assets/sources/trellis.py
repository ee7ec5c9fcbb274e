"""The collections of the paper, as TRELLIS-500K's metadata lists them: a CSV beside a local folder of raw files.

Columns: sha256, file_identifier, aesthetic_score, captions, local_path (relative to the folder).
"""

import csv
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from scenegen.assets.sources.raw import RawAsset, hashed_split
from scenegen.errors import SceneGenError, UsageError

CSV_NAME = "metadata.csv"
REQUIRED = ("sha256", "local_path")
csv.field_size_limit(1 << 24)  # captions are long


@dataclass(frozen=True, slots=True)
class Collection:
    """What is known of a whole collection.

    licence: SPDX id if one licence covers all of it; those of Objaverse differ from object to object.
    test: whether all of it is the paper's test set.
    place: (root, local path) -> (model file or name in the zip, folder of the files it may refer to, zip or "").
    """

    name: str
    licence: str
    author: str
    commercial_use: bool
    place: Callable[[Path, str], tuple[str, str, str]]
    test: bool = False


def _own_folder(root: Path, local: str) -> tuple[str, str, str]:
    """A model in a folder of its own, with its textures beside it (3D-FUTURE's OBJ)."""
    path = root / local
    return str(path), str(path.parent), ""


def _alone(root: Path, local: str) -> tuple[str, str, str]:
    """A self-contained file (GLB) among others."""
    path = root / local
    return str(path), str(path.parent), ""


def _maybe_in_zip(root: Path, local: str) -> tuple[str, str, str]:
    """github: a repository's zip, and the model's path in it ("raw/github/repos/owner/name.zip/models/chair.obj")."""
    parts = PurePosixPath(local).parts
    for index, part in enumerate(parts):
        if part.lower().endswith(".zip") and index + 1 < len(parts):
            return str(PurePosixPath(*parts[index + 1 :])), "", str(root / PurePosixPath(*parts[: index + 1]))
    return _own_folder(root, local)


COLLECTIONS = {
    "ObjaverseXL_sketchfab": Collection("ObjaverseXL_sketchfab", "NOASSERTION", "", False, _alone),
    "ObjaverseXL_github": Collection("ObjaverseXL_github", "NOASSERTION", "", False, _maybe_in_zip),
    "ABO": Collection("ABO", "CC-BY-NC-4.0", "Amazon.com", False, _alone),
    "3D-FUTURE": Collection("3D-FUTURE", "LicenseRef-3D-FUTURE", "Alibaba", False, _own_folder),
    "HSSD": Collection("HSSD", "CC-BY-NC-4.0", "Habitat Synthetic Scenes Dataset", False, _alone),
    "Toys4k": Collection("Toys4k", "NOASSERTION", "Toys4K", False, _own_folder, test=True),
}


@dataclass(frozen=True, slots=True)
class RowFilter:
    """Which rows are worth opening. licences: SPDX ids to keep, empty keeps all."""

    min_aesthetic_score: float | None = None
    max_file_bytes: int | None = None
    licences: tuple[str, ...] = ()


def read_collection(
    name: str, root: Path, metadata: Path | None = None, keep: RowFilter | None = None
) -> Iterator[RawAsset]:
    """The rows of a collection that have a local file, in the CSV's order, repeated ones too.

    The uid is the CSV's sha256. A `licence` (or `license`) column, if there is one, overrides the collection's licence.
    Raises UsageError for an unknown collection or a missing CSV, SceneGenError for one without the columns.
    """
    if name not in COLLECTIONS:
        raise UsageError(f"there is no collection {name!r}; choose one of {', '.join(COLLECTIONS)}")
    path = metadata or root / CSV_NAME
    if not path.is_file():
        raise UsageError(f"there is no {path}; give TRELLIS-500K's CSV of {name} with --metadata")
    keep = keep or RowFilter()
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        if missing := [column for column in REQUIRED if column not in (rows.fieldnames or ())]:
            raise SceneGenError(f"{path} has no column {', '.join(missing)}; it is not a TRELLIS-500K metadata file")
        for row in rows:
            raw = _raw(COLLECTIONS[name], root, row)
            if raw is not None and _keeps(keep, raw):
                yield raw


def _raw(collection: Collection, root: Path, row: dict[str, str]) -> RawAsset | None:
    local, uid = (row.get("local_path") or "").strip(), (row.get("sha256") or "").strip()
    if not local or not uid:
        return None
    path, folder, archive = collection.place(root, local)
    parts = PurePosixPath(local).parts
    if ".." in parts or PurePosixPath(local).is_absolute():
        folder, archive = str(root), ""  # the safety check refuses it, with a reason in the quarantine
    licence = (row.get("licence") or row.get("license") or collection.licence).strip()
    identifier = (row.get("file_identifier") or "").strip()
    return RawAsset(
        uid=uid,
        source=collection.name,
        path=path,
        root=folder,
        archive=archive,
        split="test" if collection.test else hashed_split(uid, 0.98, 0.01),
        licence=licence,
        author=collection.author,
        attribution=f"{collection.name} {identifier}, {licence}".strip(),
        commercial_use=collection.commercial_use or licence in ("CC0-1.0", "CC-BY-4.0", "CC-BY-3.0"),
        name=identifier,
        aesthetic_score=_score(row.get("aesthetic_score")),
        label=local,
    )


def _score(text: str | None) -> float | None:
    try:
        value = float(text or "nan")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _keeps(keep: RowFilter, raw: RawAsset) -> bool:
    if keep.min_aesthetic_score is not None and (raw.aesthetic_score or 0.0) < keep.min_aesthetic_score:
        return False
    if keep.licences and raw.licence not in keep.licences:
        return False
    file = Path(raw.archive or raw.path)
    return keep.max_file_bytes is None or (file.is_file() and file.stat().st_size <= keep.max_file_bytes)
