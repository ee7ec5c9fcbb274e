"""`scenegen assets prepare`: bring raw models into canonical form."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from scenegen.contract.command.help_page import MAIN, HelpGroups
from scenegen.errors import EXIT_DONE, EXIT_INTERRUPTED, UsageError

if TYPE_CHECKING:
    from scenegen.assets.sources.raw import RawAsset

Source = Literal[
    "folder", "sweethome3d", "ObjaverseXL_sketchfab", "ObjaverseXL_github", "ABO", "3D-FUTURE", "HSSD", "Toys4k"
]


@dataclass(frozen=True)
class Prepare:
    """Bring raw models into canonical form, with a manifest.

    Each model becomes one GLB with its convex parts. Stop at any time; the same command resumes.
    """

    input: Path
    """A folder of model files, a collection's raw folder, a .sh3f file or a folder of them."""
    out: Path
    """The asset store, a folder; assets that it holds already are kept."""
    source: Source = "folder"
    """What the input is: a plain folder of models, or a known collection."""
    metadata: Path | None = None
    """TRELLIS-500K's metadata.csv of the collection, if it is not in the input."""
    name: str = ""
    """Name of the collection in the records. Default: the source, or the folder's name."""
    licence: str = "NOASSERTION"
    """Licence of the models of a plain folder, as an SPDX id."""
    author: str = ""
    """Author of the models of a plain folder."""
    min_aesthetic_score: float | None = None
    """Leave out models with a lower score or without one."""
    licences: tuple[str, ...] = ()
    """Leave out models of other licences than these SPDX ids. Default: keep all."""
    max_file_mb: float | None = None
    """Leave out larger raw files."""
    max_faces: int = 1_000_000
    """Refuse models with more faces; they are listed in the store's quarantine."""
    simplify_faces: int | None = None
    """Decimate models with more faces to this many."""
    texture_px: int = 1024
    """Scale textures down to this length of their longer side."""
    allow_missing_textures: bool = False
    """Use the material's colour where a texture is missing, instead of refusing the model."""
    workers: int | None = None
    """Models at a time. Default: one for each core."""
    timeout_s: float = 120.0
    """Seconds that one model may take in Blender."""
    parts_timeout_s: float = 60.0
    """Seconds that its convex decomposition may take; after that, one convex hull is used."""
    retry_quarantined: bool = False
    """Try models again that were refused before."""
    ray_address: str = ""
    """A running Ray cluster that prepares the models, instead of this machine."""

    HELP_GROUPS: ClassVar[HelpGroups] = {
        MAIN: "input out source licence workers",
        "what the collection is": "name author metadata",
        "which models are taken": "licences min-aesthetic-score max-file-mb max-faces retry-quarantined",
        "what becomes of them": "simplify-faces texture-px allow-missing-textures",
        "how it is computed": "timeout-s parts-timeout-s ray-address",
    }

    def run(self) -> int:
        """Prepare what is not there yet; exit code 75 when stopped by a signal."""
        from scenegen.assets.model_files.limits import Limits
        from scenegen.assets.preparing.asset import PrepareOptions
        from scenegen.assets.preparing.child_tools import TimeLimits
        from scenegen.assets.preparing.collection import PrepareJob
        from scenegen.assets.preparing.run import run_prepare

        limits = Limits(max_faces=self.max_faces)
        options = PrepareOptions(self.texture_px, self.simplify_faces, self.allow_missing_textures, True, limits)
        times = TimeLimits(self.timeout_s, self.parts_timeout_s)
        job = PrepareJob(self.out, options, times, self.workers or 0, self.retry_quarantined)
        tally = run_prepare(self.assets(), job, self.ray_address, threading.Event())
        return EXIT_INTERRUPTED if tally.interrupted else EXIT_DONE

    def assets(self) -> "Iterator[RawAsset]":
        """The raw assets that pass the filters. Raises UsageError if the input is not what the source says."""
        from scenegen.assets.sources.folder import read_folder
        from scenegen.assets.sources.trellis import RowFilter, read_collection

        if not self.input.exists():
            raise UsageError(f"there is no {self.input}; give the folder or file with the raw models")
        max_bytes = None if self.max_file_mb is None else int(self.max_file_mb * 1e6)
        if self.source == "folder":
            return read_folder(self.input, self.name or self.input.name, self.licence, self.author)
        if self.source == "sweethome3d":
            return self._sweethome3d()
        keep = RowFilter(self.min_aesthetic_score, max_bytes, self.licences)
        return read_collection(self.source, self.input, self.metadata, keep)

    def _sweethome3d(self) -> "Iterator[RawAsset]":
        from scenegen.assets.sources.sweethome3d import read_library

        files = [self.input] if self.input.is_file() else sorted(self.input.glob("*.sh3f"))
        if not files:
            raise UsageError(f"{self.input} holds no .sh3f file; get them with: scenegen assets fetch")
        for file in files:
            for raw in read_library(file):
                if not self.licences or raw.licence in self.licences:
                    yield raw
