"""The files that a completion is written to."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from pipelines.complete.export.appearance import Appearance
from pipelines.complete.export.glb import write_glb
from pipelines.complete.export.picture import write_picture
from pipelines.complete.export.ply import write_splats
from pipelines.complete.export.report import report_of
from pipelines.complete.export.rerun_stages import StagesRecording
from pipelines.complete.export.scene import scene_objects
from pipelines.complete.inputs.scene_inputs import SceneInputs
from pipelines.complete.results import Completion
from pipelines.errors import PipelineError, UsageError
from scenegen.contract.rerun.target import RerunTarget, ViewerFailed


@dataclass(frozen=True)
class OutputFiles:
    """scene: a GLB. The other files are written where they are named: splats (PLY), objects_dir (a GLB an instance),
    picture (PNG), report (JSON). appearance: of the meshes in scene, objects_dir, picture and rerun. rerun: where the
    steps are shown."""

    scene: Path
    splats: Path | None
    objects_dir: Path | None
    picture: Path | None
    report: Path | None
    appearance: Appearance
    rerun: RerunTarget | None = None

    def check(self) -> None:
        """Unwritable places and missing packages are found before the work. Raises UsageError."""
        if self.scene.suffix.lower() != ".glb":
            raise UsageError(f"--out writes binary glTF; call it {self.scene.with_suffix('.glb').name}")
        if self.picture is not None and self.picture.suffix.lower() != ".png":
            raise UsageError(f"--picture writes PNG; call it {self.picture.with_suffix('.png').name}")
        for file in (self.scene, self.splats, self.report):
            if file is not None and file.is_dir():
                raise UsageError(f"{file} is a folder; name a file to write")
        if self.objects_dir is not None and self.objects_dir.exists() and not self.objects_dir.is_dir():
            raise UsageError(f"--objects-dir {self.objects_dir} is a file; name a folder")
        self.check_packages()

    def check_packages(self) -> None:
        """Raises UsageError if one is missing."""
        missing = [package for package in self.appearance.packages() if find_spec(package) is None]
        if missing:
            raise UsageError(f"--texture and --max-faces need {', '.join(missing)}: pip install 'fixer3d[export]'")
        if self.rerun is not None:
            try:
                self.rerun.check()
            except ValueError as error:
                raise UsageError(str(error)) from error

    def write(self, completion: Completion, inputs: SceneInputs) -> None:
        objects = scene_objects(completion, self.appearance)
        title = completion.checkpoint
        write_glb(self.scene, objects, title, {"seed": completion.seed})
        if self.objects_dir is not None:
            for one in objects:
                write_glb(self.objects_dir / f"{one.instance_id}.glb", [one], title)
        if self.splats is not None:
            write_splats(self.splats, completion)
        if self.picture is not None:
            write_picture(self.picture, inputs.rgb_HW3, inputs.masks, completion, objects)
        if self.report is not None:
            self.report.parent.mkdir(parents=True, exist_ok=True)
            self.report.write_text(json.dumps(report_of(completion, inputs.described), indent=1) + "\n")

    def show(self, completion: Completion, inputs: SceneInputs) -> None:
        """Into a file of Rerun, or its viewer until that is closed. Raises PipelineError if the viewer fails."""
        if self.rerun is None:
            return
        steps = StagesRecording(completion, inputs, scene_objects(completion, self.appearance))
        try:
            self.rerun.write(steps.name, steps.blueprint(), steps.log)
        except ViewerFailed as error:
            raise PipelineError(str(error)) from error
