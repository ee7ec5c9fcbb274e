"""Predictions as files: one folder a view, one GLB an instance, one report.

    PREDICTIONS/<view key>/objects/<instance id>.glb
    PREDICTIONS/<view key>/report.json

This is the layout of the official results on their own test set, with our report beside it. Without a report (official
results), GLB coordinates are taken as world coordinates, z up; a report says which axes they have. Predictions for a
step of a sweep lie in a folder of its name: PREDICTIONS/alpha-0.2/<view key>/...
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from pipelines.complete.export.glb import write_glb
from pipelines.complete.export.scene import SceneObject, vertex_normals
from pipelines.errors import PipelineError
from pipelines.evaluate.files.meshes import T_ZUP_GLTF, UnreadableMesh, read_shape
from pipelines.evaluate.records.shapes import Shape
from pipelines.evaluate.records.systems import Outcome, Prediction, SceneInput, SystemAnswer

REPORT = "report.json"
OBJECTS = "objects"
FORMAT = 1

Axes = Literal["world", "gltf"]
"""Axes of the GLBs: those of the world (z up), or the world rotated to glTF's (y up)."""


@dataclass(frozen=True, slots=True)
class ViewReport:
    """The facts about one view that its GLBs do not hold.

    system: which one made them. axes: of the GLBs. depth, alignment, depth_ratio: the depth that the system was given.
    seconds: wall time of the view. outcomes: instance id to (outcome, reason), of all instances that were attempted.
    """

    system: str
    axes: Axes = "world"
    depth: str = ""
    alignment: str = ""
    depth_ratio: float | None = None
    seconds: float | None = None
    outcomes: Mapping[int, tuple[Outcome, str]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        instances = {str(i): {"outcome": outcome, "reason": reason} for i, (outcome, reason) in self.outcomes.items()}
        values = {name: getattr(self, name) for name in self.__slots__ if name != "outcomes"}
        return {"format": FORMAT, **values, "instances": instances}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ViewReport:
        """Raises ValueError if the values are no such report."""
        try:
            if values["format"] != FORMAT:
                raise ValueError(f"format {values['format']} is not {FORMAT}")
            given = {name: values[name] for name in cls.__slots__ if name != "outcomes" and name in values}
            outcomes = {int(i): (one["outcome"], one.get("reason", "")) for i, one in values["instances"].items()}
            report = cls(**given, outcomes=outcomes)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"it lacks or misuses {error}") from error
        wrong = {outcome for outcome, _ in outcomes.values()} - set(get_args(Outcome))
        if report.axes not in get_args(Axes) or wrong:
            raise ValueError(f"axes {report.axes!r} must be of {get_args(Axes)}, outcomes of {get_args(Outcome)}")
        return report


def write_answer(folder: Path, key: str, answer: SystemAnswer, report: ViewReport) -> None:
    """Write the surfaces of a view and its report.

    report: its axes, outcomes and seconds are replaced by what is written here. Raises ValueError for a prediction that
    is only points, which a GLB of triangles cannot hold.
    """
    place = folder / key
    for one in answer.predictions:
        if one.shape is not None:
            write_glb(place / OBJECTS / f"{one.instance_id}.glb", [_scene_object(one, one.shape)], report.system)
    outcomes = {one.instance_id: (one.outcome, one.reason) for one in answer.predictions}
    said = replace(report, axes="gltf", seconds=answer.seconds, outcomes=outcomes)
    place.mkdir(parents=True, exist_ok=True)
    (place / REPORT).write_text(json.dumps(said.to_json(), indent=1) + "\n")


def _scene_object(one: Prediction, shape: Shape) -> SceneObject:
    """The vertices are centred before they become float32, so that no precision is lost far from the origin."""
    if not shape.is_surface:
        raise ValueError(f"instance {one.instance_id} is only points; write surfaces")
    centre = (shape.vertices_V3.min(axis=0) + shape.vertices_V3.max(axis=0)) / 2
    x, y, z = centre.tolist()
    vertices = (shape.vertices_V3 - centre).astype(np.float32)
    return SceneObject(
        name=f"instance_{one.instance_id:03d}",
        instance_id=one.instance_id,
        vertices_V3=vertices,
        normals_V3=vertex_normals(vertices, shape.faces_F3),
        faces_F3=shape.faces_F3,
        translation=(x, y, z),
        scale=1.0,
        colours_V3=shape.colors_V3,
    )


@dataclass(frozen=True, slots=True)
class PredictionFolder:
    """A system whose predictions were made earlier, those of each step of a sweep in a folder of its own."""

    name: str
    folder: Path
    reruns: bool = False

    @classmethod
    def open(cls, name: str, folder: Path) -> PredictionFolder:
        """The system's name in the reports is appended to `name`, so that a row says whose weights it judges.

        Raises PipelineError if the folder holds no predictions, or those of several systems.
        """
        if not folder.is_dir():
            raise PipelineError(f"there is no folder of predictions {folder}")
        if not any(folder.glob(f"**/{OBJECTS}/*.glb")) and not any(folder.glob(f"**/{REPORT}")):
            found = ", ".join(sorted(path.name for path in folder.iterdir())[:5]) or "nothing"
            raise PipelineError(
                f"{folder} holds no predictions: expected <view key>/{OBJECTS}/<instance id>.glb, found {found}"
            )
        makers = sorted({_read_report(path).system for path in folder.glob(f"**/{REPORT}")})
        if len(makers) > 1:
            raise PipelineError(f"{folder} mixes predictions of {', '.join(makers)}; give each a folder of its own")
        return cls(": ".join([name, *makers]), folder)

    def complete(self, scene: SceneInput) -> SystemAnswer:
        """What lies in the folder of this view; instances with neither a file nor an outcome are left out."""
        place = self.folder / scene.variation / scene.key
        report = self._report(place)
        predictions = [self._prediction(place, i, report) for i in scene.instance_ids]
        return SystemAnswer(tuple(one for one in predictions if one), report.seconds)

    def answers(self, variation: str) -> bool:
        return (self.folder / variation).is_dir()

    def _report(self, place: Path) -> ViewReport:
        path = place / REPORT
        return _read_report(path) if path.is_file() else ViewReport(self.name)

    @staticmethod
    def _prediction(place: Path, instance_id: int, report: ViewReport) -> Prediction | None:
        path = place / OBJECTS / f"{instance_id}.glb"
        outcome, reason = report.outcomes.get(instance_id, ("missing", ""))
        if not path.is_file():
            if outcome == "completed":
                return Prediction(
                    instance_id, None, "missing", f"the report says completed, but there is no {path.name}"
                )
            return None if outcome == "missing" else Prediction(instance_id, None, outcome, reason)
        try:
            shape = read_shape(path)
        except UnreadableMesh as error:
            return Prediction(instance_id, None, "failed", str(error))
        return Prediction(instance_id, shape.moved(T_ZUP_GLTF) if report.axes == "gltf" else shape)


def _read_report(path: Path) -> ViewReport:
    try:
        return ViewReport.from_json(json.loads(path.read_text()))
    except ValueError as error:
        raise PipelineError(f"{path} is no report of a view: {error}; make the predictions again") from error
