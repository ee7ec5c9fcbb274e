"""Where datasets lie, and the open datasets of one process."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.errors import UsageError
from scenegen.contract.dataset import Dataset
from scenegen.contract.object_dataset import ObjectDataset
from scenegen.contract.objects import OBJECTS


@dataclass(frozen=True)
class DataLocation:
    """One dataset.

    shards: folder or URI of the views. objects: folder or URI of the objects tables; None if they are in `shards`.
    weight: how often each of its samples is seen in an epoch; may be a fraction.
    """

    shards: str
    objects: str | None = None
    weight: float = 1.0

    @property
    def objects_location(self) -> str:
        return self.objects if self.objects is not None else self.shards


class Readers:
    """Datasets and objects tables by the number of their location.

    Each process opens its own files: open files of an object store do not survive a fork to workers, and none can be
    pickled.
    """

    def __init__(self, locations: Sequence[DataLocation]) -> None:
        self._locations = tuple(locations)
        self._forget()

    def __len__(self) -> int:
        return len(self._locations)

    def dataset(self, number: int) -> Dataset:
        """The scenes of a location. Raises UsageError if there are none."""
        self._check_process()
        if number not in self._datasets:
            self._datasets[number] = _opened(Dataset, self._locations[number].shards)
        return self._datasets[number]

    def objects(self, number: int) -> ObjectDataset:
        """The objects tables of a location. Raises UsageError if there are none."""
        self._check_process()
        if number not in self._objects:
            self._objects[number] = _opened(ObjectDataset, self._locations[number].objects_location)
        return self._objects[number]

    def describe(self, tables: Collection[str]) -> list[dict[str, Any]]:
        """What each location holds, as JSON; equal for copies of the same data and for no others.

        tables: names of the objects tables to describe; others do not matter.
        """
        return [self._described(number, tables) for number in range(len(self))]

    def _described(self, number: int, tables: Collection[str]) -> dict[str, Any]:
        dataset, objects = self.dataset(number), self.objects(number)
        metas = {table: objects.meta(table) for table in objects.tables if table in tables}
        return {
            "config_digest": dataset.metadata().get("config_digest", ""),
            "views": len(dataset),
            "estimators": list(dataset.estimators()),
            "assets_digest": objects.meta(OBJECTS).assets_digest,
            "tables": {table: dict(meta.settings) for table, meta in metas.items()},
        }

    def __getstate__(self) -> dict[str, Any]:
        return {"_locations": self._locations}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._locations = state["_locations"]
        self._forget()

    def _check_process(self) -> None:
        if self._process != os.getpid():
            self._forget()

    def _forget(self) -> None:
        self._process = os.getpid()
        self._datasets: dict[int, Dataset] = {}
        self._objects: dict[int, ObjectDataset] = {}


def _opened(kind: Any, location: str) -> Any:
    try:
        return kind.open(location)
    except (FileNotFoundError, ValueError) as error:
        raise UsageError(str(error)) from error
