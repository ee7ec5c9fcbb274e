"""What a format is: files of one scene after the other, then the files about all of them."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal

from scenegen.contract.dataset import Dataset
from scenegen.errors import UsageError
from scenegen.export.folder import ExportFolder
from scenegen.export.selection import Filters, SceneViews, Selection, dataset_split
from scenegen.export.shapes import Shapes

Categories = Literal["object", "asset"]


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What is exported, and from where; can be sent to other processes.

    data: the dataset's folder or URI. tables: where objects tables may be. stores: prepared asset stores.
    categories: what COCO counts as a class. amodal_masks: COCO masks of whole silhouettes too.
    """

    data: str
    filters: Filters = field(default_factory=Filters)
    tables: tuple[str, ...] = ()
    stores: tuple[str, ...] = ()
    categories: Categories = "object"
    amodal_masks: bool = False


class Source:
    """What exporters read: the chosen part of the dataset, and the shapes of its assets."""

    def __init__(self, options: ExportOptions) -> None:
        """Raises FileNotFoundError without a dataset, UsageError if nothing passes the filters."""
        self.options = options
        self.dataset = Dataset.open(options.data)
        self.shapes = Shapes(options.tables or (options.data,), options.stores)

    @cached_property
    def selection(self) -> Selection:
        wanted, made_of = self.options.filters.split, dataset_split(self.dataset)
        if wanted is None or wanted == made_of:
            return Selection(self.dataset, self.options.filters)
        if made_of in ("train", "val", "test"):
            raise UsageError(
                f"{self.options.data} is made of assets of the split {made_of} alone; leave --split {wanted} out"
            )
        splits = self.shapes.splits()
        used = {o.asset_uid for scene in self.dataset.scenes() for o in scene.objects}
        if unknown := sorted(used - splits.keys()):
            raise UsageError(
                f"the split of {len(unknown)} assets is not known ({unknown[0]}); say where the prepared stores are "
                "with --stores FOLDER, or where the objects tables are with --objects FOLDER"
            )
        return Selection(self.dataset, self.options.filters, splits)

    def require_shapes(self) -> None:
        """Raises SceneGenError, with what to do, unless the shapes of all chosen objects are at hand."""
        chosen = self.selection.scenes
        self.shapes.require([placed for scene in chosen for placed in self.selection.scene_objects(scene)])

    @property
    def split(self) -> str:
        """The split by which the export is called: that of its assets, or train if they are of several."""
        known = self.options.filters.split or dataset_split(self.dataset)
        return known if known in ("train", "val", "test") else "train"


class Exporter(ABC):
    """One format. An instance writes any of the units, in any process.

    how_to_read: the command or call that shows the result; {out} is the folder. needs: packages beyond the default
    install, and the extra that brings them. views_per_unit: how many views are written before progress is recorded;
    at least a scene.
    """

    how_to_read: ClassVar[str]
    needs: ClassVar[tuple[tuple[str, str], ...]] = ()
    views_per_unit: ClassVar[int] = 1

    def __init__(self, source: Source, folder: ExportFolder) -> None:
        self.source = source
        self.folder = folder

    def check(self) -> None:  # noqa: B027  nothing to check is no mistake
        """Raises SceneGenError for what can be known before anything is written."""

    @abstractmethod
    def unit(self, number: int, scenes: Sequence[SceneViews]) -> dict[str, Any]:
        """Write the files of a few scenes; what `finish` needs of them as JSON, with "views": how many were written."""

    def finish(self, units: int) -> None:  # noqa: B027  some formats have no such files
        """Write the files about all scenes."""


class SceneExporter(Exporter):
    """A format whose scenes have files of their own."""

    def unit(self, number: int, scenes: Sequence[SceneViews]) -> dict[str, Any]:
        parts = [self.scene(scene) for scene in scenes]
        return {"views": sum(part["views"] for part in parts), "scenes": parts}

    @abstractmethod
    def scene(self, chosen: SceneViews) -> dict[str, Any]:
        """Write the files of one scene; what `finish` needs of it, with "views": how many were written."""

    def parts(self, units: int) -> Iterator[dict[str, Any]]:
        """What `scene` returned of every scene, in order, one at a time."""
        for part in self.folder.parts(units):
            yield from part["scenes"]
