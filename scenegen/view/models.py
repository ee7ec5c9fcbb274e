"""The models of a dataset's objects, where they are at hand: with their materials, or as plain shapes.

They are looked for in the stores that the dataset was rendered from, in those that `canonical_mesh` knows, and in the
objects tables, which hold shapes alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from scenegen.contract.object_dataset import ObjectDataset
from scenegen.contract.storage import Root
from scenegen.errors import SceneGenError

if TYPE_CHECKING:
    from scenegen.assets.library import AssetLibrary
    from scenegen.assets.painted import PaintedPart
    from scenegen.scenes.box_renderer import BoxLibrary


@dataclass(frozen=True)
class Model:
    """parts: in the canonical frame. painted: whether they have their materials; if not, their colours mean nothing."""

    parts: "tuple[PaintedPart, ...]"
    painted: bool


class Models:
    """libraries: in the order in which they are asked. objects: objects tables, asked last."""

    def __init__(self, libraries: "Sequence[AssetLibrary | BoxLibrary]", objects: ObjectDataset | None) -> None:
        self._libraries, self._objects = libraries, objects
        self._in_tables = {*objects.uids()} if objects else set()

    @classmethod
    def of(cls, root: Root, objects: ObjectDataset | None) -> "Models":
        """root: of the dataset."""
        return cls([*_libraries(root)], objects)

    def find(self, uid: str) -> Model | None:
        """None if it is nowhere, or cannot be read where it is."""
        for library in self._libraries:
            if uid in library.records:
                try:
                    return _from_library(library, uid)
                except SceneGenError:  # a file that is missing or another one
                    continue
        return self._from_tables(uid) if uid in self._in_tables else None

    def _from_tables(self, uid: str) -> Model | None:
        from scenegen.assets.painted import PaintedPart

        assert self._objects is not None
        geometry = self._objects.geometry(uid)
        if geometry.status != "ok":
            return None
        return Model((PaintedPart(geometry.vertices, geometry.faces),), painted=False)


def _libraries(root: Root) -> "Iterator[AssetLibrary | BoxLibrary]":
    from scenegen.assets.library import known_library
    from scenegen.scenes.factory import open_library
    from scenegen.shards.config_file import require_config

    try:
        config = require_config(root).config
        yield open_library(replace(config, assets=replace(config.assets, split="all")))
    except SceneGenError:  # a dataset without config.json, or stores that are elsewhere
        pass
    yield known_library()


def _from_library(library: "AssetLibrary | BoxLibrary", uid: str) -> Model:
    from scenegen.assets.library import AssetLibrary
    from scenegen.assets.painted import PaintedPart

    if isinstance(library, AssetLibrary):
        return Model(library.painted(uid), painted=True)
    mesh = library.mesh(uid)
    return Model((PaintedPart(mesh.vertices, mesh.faces),), painted=False)
