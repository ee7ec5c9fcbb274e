"""A folder as people have it → the files of each picture. Three layouts are read, also mixed:

    FOLDER/NAME.jpg, NAME.masks.png or NAME.json (COCO), NAME.depth.npy, NAME.camera.json    beside one another
    FOLDER/NAME/image.jpg, masks.png, depth.npy, camera.json                                a folder for each picture
    FOLDER/images/NAME.jpg, masks/NAME.png, depth/NAME.npy, cameras/NAME.json               a folder for each kind

Masks may also be a folder with a mask for each instance. In the first layout `_` and `-` stand for the dot, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipelines.complete.inputs.masks import IMAGE_SUFFIXES
from pipelines.errors import UsageError

Role = Literal["image", "masks", "depth", "camera"]
PICTURES = (*IMAGE_SUFFIXES, ".avif", ".heic", ".heif")  # the last two are not read, which is said with advice
KINDS: Mapping[str, Role] = {"images": "image", "masks": "masks", "depth": "depth", "cameras": "camera"}
WORDS: Mapping[str, Role] = {**KINDS, "image": "image", "mask": "masks", "camera": "camera"}
_NAMED = re.compile(r"(.+)[._-](masks?|depth|cameras?)", re.IGNORECASE)
LAYOUTS = (
    "NAME.jpg with NAME.masks.png and NAME.depth.npy beside it, folders NAME/ with image.jpg, masks.png and depth.npy"
)
MASKS_BESIDE = "NAME.masks.png (ids or colours), NAME.json (COCO) or a folder NAME.masks/ with a mask for each instance"
LISTED = 20


@dataclass(frozen=True)
class PictureFiles:
    """The files of a picture; None for those that it does not have of its own. name: of its folder of results."""

    name: str
    image: Path
    masks: Path | None = None
    depth: Path | None = None
    camera: Path | None = None

    @property
    def paths(self) -> dict[Role, Path]:
        """Those that are there."""
        every: dict[Role, Path | None] = {"image": self.image, "masks": self.masks}
        every |= {"depth": self.depth, "camera": self.camera}
        return {role: path for role, path in every.items() if path is not None}


def find_pictures(folder: Path, masks_of_all: bool = False) -> list[PictureFiles]:
    """Sorted by name. masks_of_all: the command has masks for pictures without their own.

    Raises UsageError, which names all pictures without masks, with two files for the same thing, or of equal names.
    """
    if not folder.is_dir():
        raise UsageError(f"--batch {folder} is no folder; name one with {LAYOUTS}")
    found: dict[str, list[tuple[Role, Path]]] = {}
    for name, role, path in _files(folder):
        found.setdefault(name, []).append((role, path))
    pictures = {name: files for name, files in found.items() if any(role == "image" for role, _ in files)}
    if not pictures:
        raise UsageError(f"--batch {folder}: no picture in it; expected {LAYOUTS}")
    twice = [_twice(name, files) for name, files in pictures.items()]
    without = sorted(name for name, files in pictures.items() if "masks" not in dict(files) and not masks_of_all)
    problems = [problem for problem in twice if problem]
    if without:
        problems.append(
            f"no masks for {listed(without)}: put {MASKS_BESIDE} beside each, or give --masks FILE.json for all (COCO)"
        )
    if problems:
        raise UsageError("\n  ".join([f"--batch {folder}: nothing was begun, because of", *problems]))
    return [PictureFiles(name, **dict(pictures[name])) for name in sorted(pictures)]


def listed(names: Sequence[str]) -> str:
    """At most LISTED of them."""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def _files(folder: Path) -> Iterable[tuple[str, Role, Path]]:
    """(name of the picture, what the file is of it, file). Hidden files are left out, as ._1.png of macOS."""
    by_kind = (folder / "images").is_dir()
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if by_kind and path.is_dir() and path.name in KINDS:
            yield from _of_kind(path, KINDS[path.name])
        elif named := _NAMED.fullmatch(_stem(path)):
            yield named[1], WORDS[named[2].lower()], path
        elif path.is_dir():
            yield from _of_picture(path)
        elif path.suffix.lower() == ".json":
            yield path.stem, "masks", path
        elif path.suffix.lower() in PICTURES:
            yield path.stem, "image", path


def _of_kind(folder: Path, role: Role) -> Iterable[tuple[str, Role, Path]]:
    for path in sorted(folder.iterdir()):
        if not path.name.startswith(".") and (role != "image" or path.suffix.lower() in PICTURES):
            yield _stem(path), role, path


def _of_picture(folder: Path) -> Iterable[tuple[str, Role, Path]]:
    """Nothing for a folder without a picture in it."""
    files = [(WORDS[_stem(path).lower()], path) for path in sorted(folder.iterdir()) if _stem(path).lower() in WORDS]
    if any(role == "image" for role, _ in files):
        yield from ((folder.name, role, path) for role, path in files)


def _twice(name: str, files: Iterable[tuple[Role, Path]]) -> str:
    """A sentence about two files for the same thing; "" if there are none."""
    by_role: dict[Role, list[str]] = {}
    for role, path in files:
        by_role.setdefault(role, []).append(path.name)
    several = [f"{' and '.join(paths)} ({role})" for role, paths in by_role.items() if len(paths) > 1]
    return f"{name} has {', '.join(several)}: keep one, or give the pictures different names" if several else ""


def _stem(path: Path) -> str:
    return path.name if path.is_dir() else path.stem
