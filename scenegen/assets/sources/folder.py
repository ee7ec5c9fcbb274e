"""Any folder of model files, whatever its layout."""

from collections.abc import Iterator
from pathlib import Path

from scenegen.assets.model_files.identity import Identities
from scenegen.assets.sources.raw import MODEL_SUFFIXES, RawAsset, hashed_split
from scenegen.errors import UsageError


def read_folder(root: Path, source: str, licence: str = "NOASSERTION", author: str = "") -> Iterator[RawAsset]:
    """Every model file below `root`, equal ones too; the uid is the model's identity (see identity.py).

    A model may refer to files anywhere below `root`. Files are hashed one by one, as the models are asked for. The
    split depends on the model file alone, so that texture variants of one shape are in the same split.
    Raises UsageError for a folder that is missing or holds no model.
    """
    if not root.is_dir():
        raise UsageError(f"there is no folder {root}; give one with model files ({', '.join(sorted(MODEL_SUFFIXES))})")
    identities, found = Identities(root), False
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() not in MODEL_SUFFIXES or not path.is_file():
            continue
        found = True
        uid, file_sha256 = identities.of(path)
        yield RawAsset(
            uid=uid,
            source=source,
            path=str(path),
            root=str(root),
            split=hashed_split(file_sha256, 0.98, 0.01),
            licence=licence,
            author=author,
            attribution=f'"{path.stem}" by {author}, {licence}' if author else "",
            commercial_use=licence in ("CC0-1.0", "CC-BY-3.0", "CC-BY-4.0"),
            name=path.stem,
            label=path.relative_to(root).as_posix(),
            file_sha256=file_sha256 if file_sha256 != uid else "",
        )
    if not found:
        raise UsageError(f"{root} holds no model file ({', '.join(sorted(MODEL_SUFFIXES))}); check the path")
