"""`scenegen view`: look at a dataset."""

from dataclasses import dataclass
from pathlib import Path

from scenegen.contract.dataset import Dataset
from scenegen.errors import UsageError
from scenegen.view.contact_sheet import write_contact_sheet
from scenegen.view.gallery import spread, write_gallery

_PICTURES = (".jpg", ".png", ".webp")


@dataclass(frozen=True)
class ViewCommand:
    """Make a static HTML gallery of a dataset: RGB, depth, ids and normals side by side, with filters."""

    data: str = "data/"
    """The dataset: a folder or an object-store URI."""
    out: Path | None = None
    """The gallery's folder; by default gallery/ inside a local dataset."""
    max_views: int = 200
    """At most this many views, spread evenly over the dataset."""
    contact_sheet: Path | None = None
    """Write a single picture of up to 24 views here, instead of the gallery."""

    def run(self) -> int:
        if self.max_views < 1:
            raise UsageError(f"--max-views is {self.max_views}; it must be at least 1")
        if self.contact_sheet:
            return self._write_contact_sheet(self.contact_sheet)
        if self.out is None and "://" in self.data:
            raise UsageError(f"say where to put the gallery of {self.data}: --out FOLDER")
        dataset = Dataset.open(self.data)
        page = write_gallery(dataset, self.out or Path(self.data) / "gallery", self.max_views)
        print(f"Open {page.resolve()} in a browser.")
        return 0

    def _write_contact_sheet(self, path: Path) -> int:
        if path.suffix.lower() not in _PICTURES:
            raise UsageError(f"--contact-sheet is {path}; its name must end in {', '.join(_PICTURES)}")
        dataset = Dataset.open(self.data)
        write_contact_sheet(dataset, path, spread(len(dataset), min(self.max_views, 24)), columns=4, tile_px=240)
        print(path)
        return 0
