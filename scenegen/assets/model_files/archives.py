"""Untrusted zip archives: extracted into one folder within limits of number and size, or refused."""

import stat
import zipfile
from pathlib import Path, PurePosixPath

MAX_FILES = 20_000
MAX_TOTAL_BYTES = 4 << 30
MAX_RATIO = 200  # a zip bomb is mostly zeros; real meshes and images stay far below
RATIO_MATTERS_ABOVE = 64 << 20
CHUNK = 1 << 20


class ArchiveError(ValueError):
    """The archive is damaged or hostile; the message says how."""


def extract(archive: Path, to: Path, below: str = "", max_bytes: int = MAX_TOTAL_BYTES) -> None:
    """Extract the members under the folder `below` ("" for all) into `to`, keeping their names.

    Raises ArchiveError for a path that leaves the folder, a link, a zip bomb, too many files or a damaged archive.
    Sizes are counted while inflating, so that a false header does not help an attacker.
    """
    try:
        with zipfile.ZipFile(archive) as source:
            members = [m for m in source.infolist() if not below or m.filename.startswith(f"{below.rstrip('/')}/")]
            check_members(members, max_bytes)
            left = max_bytes
            for member in members:
                if not member.is_dir():
                    left -= _inflate(source, member, to / PurePosixPath(member.filename), left)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError, OSError, RuntimeError) as error:
        raise ArchiveError(f"damaged archive {archive.name} ({error})") from None


def check_members(members: list[zipfile.ZipInfo], max_bytes: int = MAX_TOTAL_BYTES) -> None:
    """Check the archive's directory before anything is inflated. Raises ArchiveError."""
    if len(members) > MAX_FILES:
        raise ArchiveError(f"zip bomb: {len(members)} files; the limit is {MAX_FILES}")
    for member in members:
        name = member.filename
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or "\0" in name:
            raise ArchiveError(f"path escape: {name!r} leaves the archive's folder")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise ArchiveError(f"path escape: {name!r} is a symbolic link")
        if member.file_size > RATIO_MATTERS_ABOVE and member.file_size > MAX_RATIO * max(member.compress_size, 1):
            raise ArchiveError(f"zip bomb: {name!r} inflates {member.file_size // max(member.compress_size, 1)}-fold")
    total = sum(member.file_size for member in members)
    if total > max_bytes:
        raise ArchiveError(f"zip bomb: {total} bytes inflated; the limit is {max_bytes}")


def _inflate(source: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, left: int) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with source.open(member) as stream, path.open("wb") as file:
        while chunk := stream.read(CHUNK):
            written += len(chunk)
            if written > left:
                raise ArchiveError(f"zip bomb: {member.filename!r} inflates beyond the limit")
            file.write(chunk)
    return written
