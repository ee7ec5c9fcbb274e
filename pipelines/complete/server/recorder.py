"""What the pipeline finds while it works → what the page can show."""

from __future__ import annotations

import json

from pipelines.complete.export.glb import write_glb
from pipelines.complete.export.ply import write_splats
from pipelines.complete.export.report import report_of
from pipelines.complete.export.scene import scene_objects
from pipelines.complete.export.stages import RESULT, STAGES, stage_glb
from pipelines.complete.results import Completion, InstanceCompletion, Progress
from pipelines.complete.server.jobs import Job, JobObject, ObjectState


class Cancelled(Exception):
    """The visitor has cancelled the job."""


class Recorder:
    """Writes what the pipeline finds into the job, so that the page can show it before the end."""

    def __init__(self, job: Job, title: str) -> None:
        self._job, self._title = job, title
        self._known: dict[int, InstanceCompletion] = {}
        self._step = ""

    def check(self) -> None:
        if self._job.cancel.is_set():
            raise Cancelled

    def found(self, one: InstanceCompletion) -> None:
        self._known[one.instance_id] = one
        self._job.objects = {**self._job.objects, str(one.instance_id): _so_far(one)}

    def progress(self, progress: Progress) -> None:
        self.check()
        if progress.step != self._step:
            self._step = progress.step
            self._show()
        self._job.progress = {
            "step": progress.step,
            "done": progress.done,
            "total": progress.total,
            "instances": list(progress.instance_ids),
        }

    def finish(self, completion: Completion) -> None:
        """The files that people download."""
        self._known = {one.instance_id: one for one in completion.instances}
        self._show()
        folder = self._job.folder
        write_glb(folder / f"{RESULT}.glb", scene_objects(completion), self._title, {"seed": completion.seed})
        write_splats(folder / "splats.ply", completion)
        report = report_of(completion, self._job.origin)
        (folder / "report.json").write_text(json.dumps(report, indent=1) + "\n")
        self._job.objects = {str(one.instance_id): _in_the_end(one) for one in completion.instances}
        self._job.stages = (*self._job.stages, RESULT) if completion.completed else self._job.stages

    def _show(self) -> None:
        """Writes the scenes of the voxels that are new since the last step."""
        instances = list(self._known.values())
        there = {"seen": "partial_V3", "coarse": "coarse_V3", "fine": "fine_V3"}
        for stage in STAGES:
            new = stage not in self._job.stages and any(getattr(one, there[stage]) is not None for one in instances)
            if new and not (stage == "seen" and self._step == "observe"):
                (self._job.folder / f"{stage}.glb").write_bytes(stage_glb(instances, stage, self._title))
                self._job.stages = (*self._job.stages, stage)


def _so_far(one: InstanceCompletion) -> JobObject:
    """An instance has the outcome completed from the beginning. Its voxels tell how far it really is."""
    if one.outcome != "completed" or one.mesh is not None:
        return _in_the_end(one)
    found: dict[ObjectState, object] = {"fine": one.fine_V3, "coarse": one.coarse_V3, "seen": one.partial_V3}
    return JobObject(next((state for state, voxels in found.items() if voxels is not None), "waiting"))


def _in_the_end(one: InstanceCompletion) -> JobObject:
    faces = 0 if one.mesh is None else len(one.mesh.faces_F3)
    return JobObject(one.outcome, one.reason, faces, one.cut_by_border)
