"""What is wrong with the files of prepared stores and of folders: a line for each fault."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from scenegen.assets.files import FileLibrary
from scenegen.assets.library import AssetLibrary
from scenegen.assets.preparing.ledgers import QUARANTINE, read_quarantined
from scenegen.errors import AssetError

_MOST_REFUSED = 20


def model_faults(library: AssetLibrary, made_from: Mapping[str, str]) -> Iterator[str]:
    """A line for each model that cannot be read or is not as its manifest says.

    made_from: uid to the raw file that a model was made from, where that is known.
    """
    for uid, record in library.records.items():
        try:
            mesh, parts = library.mesh(uid), library.convex_parts(uid)
            if len(mesh.faces) != record.faces or not parts:
                raise AssetError(uid, f"{len(mesh.faces)} faces, the manifest says {record.faces}")
        except AssetError as error:
            name = made_from.get(uid) or record.name
            yield f"{name}: {error.reason} (uid {uid})" if name else str(error)


def file_faults(files: FileLibrary) -> Iterator[str]:
    """A line for each environment map or material that cannot be read or is not as its manifest says."""
    for uid in files.uids:
        try:
            files.path(uid)
        except AssetError as error:
            yield str(error)


def refused_models(store: Path, made_from: Mapping[str, str]) -> Iterator[str]:
    """The models that were refused when the store was prepared, without those that got into it later."""
    later = {*made_from, *made_from.values()}
    entries = read_quarantined(store / QUARANTINE).values()
    refused = [entry for entry in entries if entry.uid not in later and entry.label not in later]
    if refused:
        yield f"{len(refused)} were refused when {store} was prepared (all of them are in {store / QUARANTINE}):"
    for entry in refused[:_MOST_REFUSED]:
        yield f"  {entry.shown}: {entry.reason} (uid {entry.uid})"
