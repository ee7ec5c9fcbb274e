"""What all checks of untrusted model files share: the limits, the error, and the files that a model refers to."""

import re
from dataclasses import dataclass
from pathlib import Path

from scenegen.assets.model_files import archives
from scenegen.assets.model_files.references import LIBRARY, TEXTURE, Reference, references


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest raw asset that is accepted."""

    max_file_bytes: int = 1 << 30
    max_faces: int = 1_000_000
    max_archive_bytes: int = archives.MAX_TOTAL_BYTES


class UnsafeFileError(ValueError):
    """The file must not be imported; the message says what is wrong."""


def check_faces(faces: int, limits: Limits) -> None:
    """Raises UnsafeFileError for no face, or too many."""
    if faces <= 0:
        raise UnsafeFileError("zero faces")
    if faces > limits.max_faces:
        raise UnsafeFileError(f"{faces} faces; the limit is {limits.max_faces}")


def inside(path: Path, root: Path, what: str) -> Path:
    """The resolved path (symbolic links followed). Raises UnsafeFileError if it is outside `root`."""
    resolved = path.resolve()
    if not resolved.is_relative_to(root.resolve()):
        raise UnsafeFileError(f"path escape: {what} leaves its folder")
    return resolved


def check_references(path: Path, root: Path, limits: Limits, missing_ok: bool) -> None:
    """Check every file that a model names, directly or through others. Raises UnsafeFileError.

    missing_ok: textures and material libraries may be missing.
    """
    for reference in references(path, root):
        referred_file(reference, root, limits, missing_ok and reference.what in (TEXTURE, LIBRARY))


def referred_file(reference: Reference, root: Path, limits: Limits, missing_ok: bool = False) -> Path | None:
    """The file that a reference names; None if it is missing and that is allowed.

    Raises UnsafeFileError if it is outside `root`, missing, or too large.
    """
    name, what, target = reference.name, reference.what, reference.found(root) or reference.target
    if re.match(r"^([a-zA-Z][a-zA-Z0-9+.-]+:|//)", name):
        raise UnsafeFileError(f"path escape: {what} {name[:80]!r} is not a local file")
    if missing_ok and not target.resolve().is_relative_to(root.resolve()):
        return None  # a path of the author's disk; it is never opened
    resolved = inside(target, root, f"{what} {name[:80]!r}")
    if not resolved.is_file():
        if missing_ok:
            return None
        raise UnsafeFileError(f"missing {what}: {name[:80]}")
    if resolved.stat().st_size > limits.max_file_bytes:
        raise UnsafeFileError(
            f"{what} {name[:80]} has {resolved.stat().st_size} bytes; the limit is {limits.max_file_bytes}"
        )
    return resolved
