"""External materials: folders of PBR texture sets, and .blend files that hold a material.

They are only found and listed here; blender/materials/external.py builds them.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from scenegen.assets.files import IMAGE_SUFFIXES, FileLibrary, Found, content_sha256, open_folder
from scenegen.assets.manifest import AssetRecord
from scenegen.config import AssetsConfig

PROCEDURAL = "procedural"
# A texture set is known by its colour map; its other maps are found beside it by their endings.
COLOR_MAP = re.compile(r"(^|[_\-. ])(base_?colou?r|albedo|diff(use)?|colou?r|col)([_\-. ]\d+k)?$", re.IGNORECASE)
BLEND_MAGIC = (b"BLENDER", b"\x28\xb5\x2f\xfd", b"\x1f\x8b")


class MaterialLibrary(FileLibrary):
    """External materials by uid; a path is the folder of a texture set or a .blend file."""

    @classmethod
    def open(cls, config: AssetsConfig) -> "MaterialLibrary":
        """The materials that the configuration names besides "procedural", which needs no file; may be empty.

        Raises UsageError for a folder that is not there or holds no material.
        """
        found: dict[str, Found] = {}
        for name in config.materials:
            if name != PROCEDURAL:
                found |= open_folder(name, "material (a folder with a ..._Color image, or a .blend file)", index_folder)
        return cls({u: f for u, f in found.items() if not config.licences or f.record.licence in config.licences})


def index_folder(root: Path) -> Iterable[AssetRecord]:
    """Records of the texture sets and .blend files below `root`."""
    folders = [root, *sorted(path for path in root.rglob("*") if path.is_dir() and not path.is_symlink())]
    for folder in folders:
        files = sorted(path for path in folder.iterdir() if path.is_file())
        if any(path.suffix.lower() in IMAGE_SUFFIXES and COLOR_MAP.search(path.stem) for path in files):
            yield _record(folder, root, sum(path.stat().st_size for path in files))
        for path in files:
            if path.suffix.lower() == ".blend" and path.open("rb").read(8).startswith(BLEND_MAGIC):
                yield _record(path, root, path.stat().st_size)


def _record(path: Path, root: Path, size: int) -> AssetRecord:
    relative = path.relative_to(root)
    return AssetRecord(
        uid=f"{root.name}/{relative.with_suffix('') if path.is_file() else relative}",
        source=root.name,
        file=str(relative),
        sha256=content_sha256(path),
        bytes=size,
        licence="NOASSERTION",
        author="",
        attribution="",
        commercial_use=False,
        split="train",
        name=path.stem,
        category="material",
    )
