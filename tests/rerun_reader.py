"""Recordings of Rerun, read by its own reader."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest


class Recording:
    """What a file holds, by entity and component, as NumPy arrays where that can be."""

    def __init__(self, file: Path) -> None:
        dataframe = pytest.importorskip("rerun.dataframe")  # in the versions for NumPy 1, which tests have
        self._recording = dataframe.load_recording(file)

    def static(self, entity: str, component: str) -> Any:
        """What stands at all times. Raises KeyError."""
        view = self._recording.view(index="log_tick", contents=entity)
        return _value(view.select_static().read_all()[f"{entity}:{component}"])

    def at(self, timeline: str, number: int, entity: str, component: str) -> Any:
        """What is shown at a place of a timeline; None where nothing was logged or it was cleared."""
        view = self._recording.view(index=timeline, contents=entity).fill_latest_at()
        table = view.using_index_values(np.array([number])).select().read_all()
        name = f"{entity}:{component}"
        return _value(table[name]) if name in table.column_names else None

    def matrix(self, entity: str, *at: Any) -> np.ndarray:
        """(4, 4), from the entity to the world; Rerun stores columns."""
        read = self.at if at else self.static
        T = np.eye(4)
        T[:3, :3] = read(*at, entity, "TransformMat3x3").reshape(3, 3).T
        T[:3, 3] = read(*at, entity, "Translation3D")
        return T

    def entities(self) -> set[str]:
        return {column.entity_path for column in self._recording.schema().component_columns()}


def _value(column: Any) -> Any:
    value = column[0].as_py()
    if value is None or len(value) == 0:
        return None
    if len(value) == 1 and (isinstance(value[0], str) or not np.isscalar(value[0])):
        value = value[0]
    return value if isinstance(value, str | dict) or isinstance(value[0], str | dict) else np.asarray(value)
