"""Finds the weights of networks, at a path of the user's or in the Hugging Face cache; downloads only when asked to."""

import hashlib
import importlib.util
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from scenegen.errors import SceneGenError, UsageError

_HASH_CHUNK = 8 << 20

RecordT = TypeVar("RecordT")


class MissingWeightsError(SceneGenError):
    """Weights or packages of networks that were asked for are missing."""


class WeightsRecord(Protocol):
    """The part of a manifest record that is about weights; see EstimatorRecord, ExtractorRecord."""

    @property
    def name(self) -> str: ...

    @property
    def hub_id(self) -> str: ...

    @property
    def revision(self) -> str: ...

    @property
    def config_files(self) -> tuple[str, ...]: ...

    @property
    def weights_files(self) -> tuple[str, ...]: ...

    @property
    def megabytes(self) -> int: ...

    @property
    def package(self) -> str: ...

    @property
    def weights_licence(self) -> str: ...

    @property
    def needs_weights(self) -> bool: ...


def read_manifest(path: Path, record: Callable[..., RecordT], what: str) -> list[RecordT]:
    """The records of a manifest with one JSON object a line. what: a record in words, for the message.

    Raises SceneGenError naming the first line that is not a record.
    """
    records = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        try:
            raw = json.loads(line)
            records.append(record(**{name: tuple(v) if isinstance(v, list) else v for name, v in raw.items()}))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise SceneGenError(f"{path}:{number} is not {what} ({error}); mend or remove the line") from None
    return records


@dataclass(frozen=True, slots=True)
class Weights:
    """The files of one network. folder: contains the configs, if there are any. file: the weights.

    weights_id: hub id, or the name of the user's file or folder. revision: the commit of the hub's snapshot, empty for
    a local path.
    """

    folder: Path
    file: Path
    weights_id: str
    revision: str

    def sha256(self) -> str:
        """The sha256 of the weights file; reads all of it."""
        with self.file.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def parse_overrides(texts: Sequence[str]) -> dict[str, str]:
    """["moge2=/w/model.pt", ...] to {"moge2": "/w/model.pt"}. Raises UsageError."""
    overrides: dict[str, str] = {}
    for text in texts:
        name, equals, place = text.partition("=")
        if not (name and equals and place):
            raise UsageError(f"--weights {text}: write NAME=PATH or NAME=HUB_ID, for example moge2=/weights/model.pt")
        overrides[name] = place
    return overrides


def find_weights(record: WeightsRecord, override: str | None = None) -> Weights | None:
    """The weights on this machine; None if they are not here.

    override: a file, a folder, or another hub id. Raises UsageError for a path without weights in it.
    """
    if override and Path(override).expanduser().exists():
        return _in_path(record, Path(override).expanduser())
    if override and (override.startswith((".", "/", "~")) or override.count("/") != 1):
        raise UsageError(f"--weights {record.name}={override}: there is no such file or folder")
    hub_id = override or record.hub_id
    folder = _snapshot(hub_id, "main" if override else record.revision)
    file = folder and _weights_file(record, folder)
    return Weights(folder, file, hub_id, folder.name) if folder and file else None


def require(
    records: Sequence[WeightsRecord],
    overrides: Mapping[str, str] | None = None,
    what: str = "not all depth estimators can run",
    advice: str = "Or choose --estimators simulated, which needs no weights: an explicit model of monocular errors, "
    "not a network.",
) -> dict[str, Weights]:
    """Find the weights of all networks that need some; called before anything is computed.

    overrides: name to path or hub id. what, advice: the beginning and the end of the error message.
    Raises MissingWeightsError naming everything that is missing, its size, and how to get it.
    """
    overrides = overrides or {}
    found: dict[str, Weights] = {}
    missing: list[str] = []
    for record in records:
        if record.package and importlib.util.find_spec(record.package) is None:
            missing.append(_package_help(record))
        if record.needs_weights:
            weights = find_weights(record, overrides.get(record.name))
            if weights is None:
                missing.append(_weights_help(record, overrides.get(record.name)))
            else:
                found[record.name] = weights
    if missing:
        raise MissingWeightsError(f"{what}:\n  " + "\n  ".join(missing) + f"\n{advice}")
    return found


def fetch(record: WeightsRecord, override: str | None = None) -> None:
    """Download the weights into the Hugging Face cache. Raises SceneGenError when that fails."""
    from huggingface_hub import snapshot_download

    if not record.needs_weights or find_weights(record, override):
        return
    hub_id = override or record.hub_id
    names = [*record.config_files, *record.weights_files]
    try:
        snapshot_download(hub_id, revision="main" if override else record.revision, allow_patterns=names)
    except Exception as error:  # noqa: BLE001  the client raises many kinds; all mean that the weights did not come
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise SceneGenError(
            f"cannot download {hub_id} (about {record.megabytes} MB): {reason}.\n"
            f"Bring the files here by hand and give --weights {record.name}=PATH; gated models also need hf auth login"
        ) from None


def _in_path(record: WeightsRecord, place: Path) -> Weights:
    if place.is_file():
        lacking = [name for name in record.config_files if not (place.parent / name).exists()]
        if lacking:
            raise UsageError(f"--weights {record.name}={place}: it needs {' and '.join(lacking)} beside it")
        return Weights(place.parent, place, place.name, "")
    file = _weights_file(record, place)
    if file is None:
        raise UsageError(
            f"--weights {record.name}={place}: the folder has none of {', '.join(record.weights_files)}"
            + (f" with {' and '.join(record.config_files)} beside it" if record.config_files else "")
        )
    return Weights(place, file, place.name, "")


def _weights_file(record: WeightsRecord, folder: Path) -> Path | None:
    if not all((folder / name).exists() for name in record.config_files):
        return None
    return next((folder / name for name in record.weights_files if (folder / name).exists()), None)


def _snapshot(hub_id: str, revision: str) -> Path | None:
    """The hub's folder in the local cache, without touching the network."""
    if importlib.util.find_spec("huggingface_hub") is None:
        return None
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(hub_id, revision=revision, local_files_only=True))
    except (OSError, ValueError):
        return None


def _weights_help(record: WeightsRecord, override: str | None) -> str:
    hub_id = override or record.hub_id
    revision = "" if override or record.revision == "main" else f" --revision {record.revision}"
    files = " and ".join([record.weights_files[0], *record.config_files])
    return (
        f"{record.name}: weights {hub_id} (about {record.megabytes} MB, licence {record.weights_licence}) are not "
        f"here. Run: hf download {hub_id}{revision}, or add --download, or put {files} in a folder and give "
        f"--weights {record.name}=FOLDER"
    )


def _package_help(record: WeightsRecord) -> str:
    if record.package == "vggt":
        return (
            "vggt: the package vggt is not installed. PyPI has no release of it; install the authors' own with: "
            "pip install git+https://github.com/facebookresearch/vggt (licence: see its LICENSE.txt)"
        )
    return f"{record.name}: the package {record.package} is not installed. Run: pip install 'fixer3d[depth]'"
