"""`scenegen export`: a dataset in the formats of other tools."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from scenegen.contract.command.help_page import MAIN, HelpGroups
from scenegen.errors import UsageError
from scenegen.export.formats import FormatName


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write a dataset, or a part of it, in a format that other tools read.

    coco, bop, hdf5 (as BlenderProc writes it), nerfstudio, webdataset, and whole scenes as glb or usd. A command that
    was stopped goes on when it is run again.
    """

    data: str = "data/"
    """The dataset: a folder or an object-store URI."""
    format: FormatName
    """The format."""
    out: Path
    """An empty folder, or one in which this export was begun."""
    scenes: tuple[str, ...] = ()
    """Only these scenes: indices and ranges, such as 0-9 12. Default: all."""
    min_visible_px: int = 1
    """Leave out objects with fewer visible pixels in a view, and views without an object that is left; 0 keeps hidden
    ones."""
    views: tuple[str, ...] = ()
    """Only these views of each scene: indices and ranges. Default: all."""
    split: Literal["train", "val", "test"] | None = None
    """Only objects whose asset is of this split. Default: all."""
    max_occlusion: float = 1.0
    """Leave out objects of which a larger share is hidden by others."""
    categories: Literal["object", "asset"] = "object"
    """What coco takes for a class: every object is of one, or each asset is one."""
    amodal_masks: bool = False
    """coco: whole silhouettes too, cast from the assets' meshes."""
    objects: str | None = None
    """Where the objects tables are, for the assets' meshes. Default: beside the views."""
    stores: tuple[str, ...] = ()
    """Prepared asset stores, for meshes with materials, besides the starter pack. Default: those of SCENEGEN_STORES."""
    workers: int | Literal["auto"] = "auto"
    """Processes that write; auto is one a core."""

    HELP_GROUPS: ClassVar[HelpGroups] = {
        MAIN: "data format out scenes min-visible-px",
        "what is exported": "views split max-occlusion",
        "masks and classes of coco": "categories amodal-masks",
        "where meshes are": "objects stores",
        "how it is computed": "workers",
    }

    def run(self) -> int:
        from scenegen.export.exporter import ExportOptions
        from scenegen.export.formats import exporter_of
        from scenegen.export.run import export
        from scenegen.export.selection import Filters

        if self.format != "coco" and (self.amodal_masks or self.categories != "object"):
            raise UsageError(
                "--amodal-masks and --categories belong to --format coco; leave them out (bop has whole masks)"
            )
        filters = Filters(self.scenes, self.views, self.split, self.min_visible_px, self.max_occlusion)
        named = tuple(name for name in os.environ.get("SCENEGEN_STORES", "").split(os.pathsep) if name)
        options = ExportOptions(
            data=self.data,
            filters=filters,
            tables=(self.objects,) if self.objects else (),
            stores=self.stores or named,
            categories=self.categories,
            amodal_masks=self.amodal_masks,
        )
        done = export(self.format, options, self.out, self._workers())
        was = "were exported already" if done.get("already") else "exported"
        print(f"{_count(done['views'], 'view')} of {_count(done['scenes'], 'scene')} {was} to {self.out}")
        print(f"read them with: {exporter_of(self.format).how_to_read.format(out=self.out)}")
        return 0

    def _workers(self) -> int:
        if self.workers == "auto":
            return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        if self.workers < 1:
            raise UsageError(f"--workers is {self.workers}; it must be at least 1")
        return self.workers


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
