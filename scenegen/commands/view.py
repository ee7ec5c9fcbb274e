"""`scenegen view`: look at a dataset."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from scenegen.contract.command.help_page import MAIN, HelpGroups
from scenegen.contract.rerun.target import RerunOption, RerunTarget
from scenegen.errors import UsageError

if TYPE_CHECKING:
    from scenegen.contract.object_dataset import ObjectDataset

_PICTURES = (".jpg", ".png", ".webp")


@dataclass(frozen=True)
class View:
    """Make a static HTML gallery of a dataset, or show a scene in Rerun.

    The gallery shows RGB, depth, ids, normals and depth estimates of views, and the objects. --rerun shows a scene
    in 3D: cameras and their images, points from depth, the objects' models in place.
    """

    data: str = "data/"
    """The dataset: a folder or an object-store URI."""
    out: Path | None = None
    """The gallery's folder. Default: gallery/ inside a local dataset."""
    objects: str | None = None
    """Where the objects tables are. Default: beside the views."""
    completions: Path | None = None
    """A folder of scenes that fixer-complete has made, to show beside the views; and, if they are in it, evaluation/
    of fixer-evaluate and curves/STAGE.png of train-fixer."""
    max_views: int = 200
    """The most views that are shown, spread evenly over the dataset."""
    max_objects: int = 200
    """The most assets that are shown."""
    contact_sheet: Path | None = None
    """Write a single picture of up to 24 views here, instead of the gallery."""
    rerun: RerunOption = None
    """Open a scene in the Rerun viewer instead, or save it as a file for it. Needs the `rerun` extra."""
    scene: int | None = None
    """With --rerun: the scene. Default: the first."""

    HELP_GROUPS: ClassVar[HelpGroups] = {
        MAIN: "data out objects completions rerun",
        "how much is shown": "scene max-views max-objects",
        "instead of the gallery": "contact-sheet",
    }

    def run(self) -> int:
        from scenegen.contract.dataset import Dataset
        from scenegen.view.completions_page import find_completions
        from scenegen.view.gallery import write_gallery

        for name in ("max_views", "max_objects"):
            if getattr(self, name) < 1:
                raise UsageError(f"--{name.replace('_', '-')} is {getattr(self, name)}; it must be at least 1")
        target = RerunTarget.of(self.rerun)
        if target:
            return self._record(target)
        if self.scene is not None:
            raise UsageError("--scene goes with --rerun; the gallery shows views of all scenes")
        if self.contact_sheet:
            return self._write_contact_sheet(self.contact_sheet)
        if self.out is None and "://" in self.data:
            raise UsageError(f"say where to put the gallery of {self.data}: --out FOLDER")
        dataset = Dataset.open(self.data)
        out = self.out or Path(self.data) / "gallery"
        completions = find_completions(self.completions) if self.completions else None
        page = write_gallery(dataset, out, self.max_views, self._objects(), self.max_objects, completions)
        print(f"Open {page.resolve()} in a browser.")
        return 0

    def _objects(self) -> "ObjectDataset | None":
        """None where there are none; a place that was named must have some."""
        from scenegen.contract.object_dataset import ObjectDataset

        try:
            return ObjectDataset.open(self.objects or self.data)
        except FileNotFoundError:
            if self.objects:
                raise
            return None

    def _write_contact_sheet(self, path: Path) -> int:
        from scenegen.contract.dataset import Dataset
        from scenegen.view.contact_sheet import write_contact_sheet
        from scenegen.view.gallery import spread

        if path.suffix.lower() not in _PICTURES:
            raise UsageError(f"--contact-sheet is {path}; its name must end in {', '.join(_PICTURES)}")
        dataset = Dataset.open(self.data)
        write_contact_sheet(dataset, path, spread(len(dataset), min(self.max_views, 24)), columns=4, tile_px=240)
        print(path)
        return 0

    def _record(self, target: RerunTarget) -> int:
        target.check()
        from scenegen.contract.dataset import Dataset
        from scenegen.view.models import Models
        from scenegen.view.rerun_scene import SceneRecording

        dataset = Dataset.open(self.data)
        models = Models.of(dataset.root, self._objects())
        scene = SceneRecording.of(dataset, self.scene, models, self.max_views)
        if target.file is None:
            print(f"{scene.name} in the Rerun viewer; close its window to end this")
        target.write(scene.name, scene.blueprint(), scene.log)
        if scene.without_model:
            print(
                f"{len(scene.without_model)} of {len(scene.scene.objects)} objects are shown without their models, "
                f"which are not here ({scene.without_model[0]}): name the folders of their stores in SCENEGEN_STORES"
            )
        if target.file is not None:
            print(f"{target.file}: {scene.name}; open it with: rerun {target.file}")
        return 0
