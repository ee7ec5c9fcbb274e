"""A plain folder of model files, of nobody's particular layout."""

from collections.abc import Iterator
from pathlib import Path

from scenegen.assets.sources.raw import MODEL_SUFFIXES, RawAsset, file_sha256, hashed_split
from scenegen.errors import UsageError


def read_folder(root: Path, source: str, licence: str = "NOASSERTION", author: str = "") -> Iterator[RawAsset]:
    """Every model file below `root`; its uid is its sha256, equal files come once.

    A model may refer to files anywhere below `root`. The file is hashed when its turn comes.
    Raises UsageError for a folder that is missing or holds no model.
    """
    if not root.is_dir():
        raise UsageError(f"there is no folder {root}; give one with model files ({', '.join(sorted(MODEL_SUFFIXES))})")
    seen: set[str] = set()
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() not in MODEL_SUFFIXES or not path.is_file():
            continue
        uid = file_sha256(path)
        if uid in seen:
            continue
        seen.add(uid)
        yield RawAsset(
            uid=uid,
            source=source,
            path=str(path),
            root=str(root),
            split=hashed_split(uid, 0.98, 0.01),
            licence=licence,
            author=author,
            attribution=f'"{path.stem}" by {author}, {licence}' if author else "",
            commercial_use=licence in ("CC0-1.0", "CC-BY-3.0", "CC-BY-4.0"),
            name=path.stem,
        )
    if not seen:
        raise UsageError(f"{root} holds no model file ({', '.join(sorted(MODEL_SUFFIXES))}); check the path")
