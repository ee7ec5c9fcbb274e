"""Manifests: what is known of each asset without opening it, one line of JSON for each record."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from scenegen.errors import SceneGenError


@dataclass(frozen=True, slots=True)
class AssetRecord:
    """One asset of a manifest.

    uid: unique over all sources, never changes. source: the collection it comes from. file: path below the store's
    folder. sha256, bytes: of that file. licence: SPDX id. split: "train", "val" or "test", frozen once published.
    faces: triangles. extents: canonical (x, y, z) side lengths, longest 1 (objects only, else zeros).
    parts: number of convex collision parts. parts_method: "coacd", or "hull (why)", "patches (why)" if CoACD was not
    used.
    """

    uid: str
    source: str
    file: str
    sha256: str
    bytes: int
    licence: str
    author: str
    attribution: str
    commercial_use: bool
    split: str
    name: str = ""
    category: str = ""
    faces: int = 0
    textured: bool = False
    extents: tuple[float, float, float] = (0.0, 0.0, 0.0)
    aesthetic_score: float | None = None
    parts: int = 0
    parts_method: str = ""


def read_manifest(path: Path) -> Iterator[AssetRecord]:
    """The records of a .jsonl manifest. Raises SceneGenError naming the first line that is not a record."""
    with path.open() as lines:
        for number, line in enumerate(lines, 1):
            try:
                raw = json.loads(line)
                yield AssetRecord(**{**raw, "extents": tuple(raw.get("extents", (0.0, 0.0, 0.0)))})
            except (json.JSONDecodeError, TypeError) as error:
                raise SceneGenError(
                    f"{path}:{number} is not an asset record ({error}); mend or remove the line"
                ) from None


def write_manifest(path: Path, records: Iterable[AssetRecord]) -> None:
    """Write records sorted by uid, so that two runs give equal files."""
    ordered = sorted(records, key=lambda record: record.uid)
    path.write_text("".join(json.dumps(asdict(record), ensure_ascii=False) + "\n" for record in ordered))
