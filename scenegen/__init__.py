"""scenegen: procedural scenes with exact ground truth, from an asset manifest to Parquet shards.

What is public in Python is in `__all__`: reading what the commands have made. The rest may change without notice.
Everything is imported at its first use, so that `import scenegen` needs no package but the standard library.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scenegen.assets.library import CanonicalMesh, canonical_mesh
    from scenegen.contract.dataset import Dataset
    from scenegen.contract.object_dataset import ObjectDataset
    from scenegen.contract.records import ObjectFacts, Scene, SceneObject, View, ViewObject
    from scenegen.contract.sidecar import DepthEstimate
    from scenegen.loading.iterable import IterableViewDataset
    from scenegen.loading.tensors import ViewSample, collate_views
    from scenegen.loading.views import ViewDataset

__version__ = "0.1.0"
__all__ = [
    "CanonicalMesh",
    "Dataset",
    "DepthEstimate",
    "IterableViewDataset",
    "ObjectDataset",
    "ObjectFacts",
    "Scene",
    "SceneObject",
    "View",
    "ViewDataset",
    "ViewObject",
    "ViewSample",
    "canonical_mesh",
    "collate_views",
    "open_dataset",
    "open_objects",
]

_MODULES = {
    "scenegen.assets.library": ("CanonicalMesh", "canonical_mesh"),
    "scenegen.contract.dataset": ("Dataset",),
    "scenegen.contract.object_dataset": ("ObjectDataset",),
    "scenegen.contract.records": ("ObjectFacts", "Scene", "SceneObject", "View", "ViewObject"),
    "scenegen.contract.sidecar": ("DepthEstimate",),
    "scenegen.loading.iterable": ("IterableViewDataset",),
    "scenegen.loading.tensors": ("ViewSample", "collate_views"),
    "scenegen.loading.views": ("ViewDataset",),
}


def open_dataset(location: str | os.PathLike[str]) -> Dataset:
    """A dataset for reading: a folder, or an object-store URI such as s3://bucket/data.

    Raises FileNotFoundError if no finished shard is there, ValueError if two datasets lie in one folder.
    """
    from scenegen.contract.dataset import Dataset

    return Dataset.open(location)


def open_objects(location: str | os.PathLike[str]) -> ObjectDataset:
    """The objects tables beside a dataset's views, or where `scenegen objects --out` has put them.

    Raises FileNotFoundError if there are none.
    """
    from scenegen.contract.object_dataset import ObjectDataset

    return ObjectDataset.open(location)


def __getattr__(name: str) -> Any:
    """A public name from its module, imported now (PEP 562)."""
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
