"""The assets that a baseline may know: those of the split "train" in objects tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import PipelineError
from scenegen.contract.object_dataset import ObjectDataset
from scenegen.contract.objects import OBJECTS, ObjectGeometry

TRAIN = "train"


@dataclass(frozen=True, slots=True)
class TrainingAssets:
    """Assets of the split "train" whose geometry is known; iterating reads them one by one, sorted by uid."""

    objects: ObjectDataset
    uids: tuple[str, ...]

    @classmethod
    def open(cls, location: str | Path) -> TrainingAssets:
        """Raises PipelineError if there are no objects tables, or no training asset in them."""
        try:
            objects = ObjectDataset.open(location)
        except FileNotFoundError as error:
            raise PipelineError(str(error)) from error
        rows = objects.table(OBJECTS, ["asset_uid", "split", "status"]).to_pylist()
        uids = sorted(row["asset_uid"] for row in rows if row["split"] == TRAIN and row["status"] == "ok")
        if not uids:
            raise PipelineError(
                f"none of the {len(rows)} assets of {location} is of the split {TRAIN!r}, and baselines must not know "
                "others; name the objects tables of the training data with --baseline-assets DIR"
            )
        return cls(objects, tuple(uids))

    def __len__(self) -> int:
        return len(self.uids)

    def __iter__(self) -> Iterator[ObjectGeometry]:
        return map(self.objects.geometry, self.uids)
