"""Where data lie."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DataLocation:
    """One dataset.

    shards: folder or URI of the views. objects: of the objects tables; None if they are in the same place.
    weight: how often each of its samples is seen in an epoch; may be a fraction.
    """

    shards: str
    objects: str | None = None
    weight: float = 1.0

    @property
    def objects_location(self) -> str:
        return self.objects if self.objects is not None else self.shards
