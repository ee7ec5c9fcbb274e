"""Predictions that MIDI and Gen3DSR wrote, brought into the world of the test set.

    MIDI      DIR/<view key>.glb, or DIR/<view key>/output.glb: one node an instance
    Gen3DSR   DIR/<view key>/[reconstruction/]*<instance id>.{glb,ply,obj}, or one full_scene.{glb,ply,obj}

Neither project's outputs were at hand, so this is assumed; what does not fit is an error with what was found.
MIDI: meshes in the order of the mask ids, glTF axes (y up), a normalised frame of its own, so that only a similarity
can place a scene. Gen3DSR: OpenCV camera coordinates, in which its evaluation clips.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.evaluate.files.checked import need
from pipelines.evaluate.files.meshes import T_ZUP_GLTF, UnreadableMesh, read_parts, read_shape
from pipelines.evaluate.metrics.sampling import PREDICTION, EmptyShape, sample_rng, sample_shape
from pipelines.evaluate.records.options import Placement
from pipelines.evaluate.records.shapes import Shape
from pipelines.evaluate.records.systems import Prediction, SceneInput, SystemAnswer
from pipelines.evaluate.systems.baselines import NothingVisible, visible_points
from pipelines.evaluate.systems.placement import fit_similarity, upright_starts
from scenegen.contract.records import FIRST_OBJECT_ID

_MESHES = (".glb", ".ply", ".obj")
_WHOLE_SCENE = "full_scene"
_FIT_POINTS = 2000


@dataclass(frozen=True, slots=True)
class MidiFolder:
    """Scenes that MIDI wrote. first_id: the lowest object id in the masks (1 in MIDI's own test set, 3 in ours)."""

    name: str
    folder: Path
    placement: Placement = "similarity"
    first_id: int = FIRST_OBJECT_ID
    reruns: bool = False

    @classmethod
    def open(cls, name: str, folder: Path, placement: Placement, first_id: int) -> MidiFolder:
        """Raises UnexpectedLayout if the folder has no GLB."""
        if not any(folder.glob("**/*.glb")):
            need(folder / "<view key>.glb", "a scene written by MIDI")
        return cls(name, folder, placement, first_id)

    def answers(self, variation: str) -> bool:
        return (self.folder / variation).is_dir()

    def complete(self, scene: SceneInput) -> SystemAnswer:
        place = self.folder / scene.variation
        files = [place / f"{scene.key}.glb", place / scene.key / "output.glb"]
        path = next((file for file in files if file.is_file()), None)
        if path is None:
            return SystemAnswer(())
        try:
            parts = [part.moved(T_ZUP_GLTF) for part in read_parts(path)]
        except UnreadableMesh as error:
            return _all_failed(scene, str(error))
        in_image = [int(i) for i in np.unique(scene.instance_HW) if i >= self.first_id]
        for ids in (in_image, sorted(scene.instance_ids)):
            if len(ids) == len(parts):
                return _placed(scene, dict(zip(ids, parts, strict=True)), self.placement, upright_starts())
        return _all_failed(
            scene, f"{path.name} holds {len(parts)} nodes for {len(in_image)} masks; which is which cannot be known"
        )


@dataclass(frozen=True, slots=True)
class Gen3dsrFolder:
    """Scenes that Gen3DSR wrote."""

    name: str
    folder: Path
    placement: Placement = "similarity"
    reruns: bool = False

    @classmethod
    def open(cls, name: str, folder: Path, placement: Placement) -> Gen3dsrFolder:
        """Raises UnexpectedLayout if the folder has no mesh."""
        if not any(path.suffix in _MESHES for path in folder.glob("**/*.*")):
            need(folder / "<view key>" / "reconstruction", "a scene written by Gen3DSR")
        return cls(name, folder, placement)

    def answers(self, variation: str) -> bool:
        return (self.folder / variation).is_dir()

    def complete(self, scene: SceneInput) -> SystemAnswer:
        place = self.folder / scene.variation / scene.key
        if (place / "reconstruction").is_dir():
            place = place / "reconstruction"
        files = sorted(path for path in place.glob("*") if path.suffix in _MESHES)
        try:
            shapes = {_instance_id(path): read_shape(path) for path in files if path.stem != _WHOLE_SCENE}
            whole = [read_shape(path) for path in files if path.stem == _WHOLE_SCENE]
        except UnreadableMesh as error:
            return _all_failed(scene, str(error))
        parts = {i: shape.moved(scene.T_world_cam) for i, shape in shapes.items() if i is not None}
        if not parts and whole:
            return SystemAnswer((Prediction(0, whole[0].moved(scene.T_world_cam)),))
        return _placed(scene, parts, self.placement, [np.eye(3)])


def _placed(scene: SceneInput, parts: dict[int, Shape], placement: Placement, starts: list[np.ndarray]) -> SystemAnswer:
    """The instances that were asked for, after the placement of the whole scene. starts: see `fit_similarity`."""
    T = np.eye(4)
    if placement == "similarity":
        rng = sample_rng(0, scene.key, 0, PREDICTION)
        fit = fit_similarity(_visible(scene, list(parts)), _sampled(parts, rng), starts, rng)
        if fit is None:
            return _all_failed(scene, "none of its instances has both a shape and visible points to be placed by")
        T = fit.T
    asked = {i: parts[i].moved(T) for i in scene.instance_ids if i in parts}
    return SystemAnswer(tuple(Prediction(i, shape) for i, shape in asked.items()))


def _visible(scene: SceneInput, ids: list[int]) -> dict[int, np.ndarray]:
    found = {}
    for i in ids:
        try:
            found[i] = visible_points(scene, i).vertices_V3
        except NothingVisible:
            continue  # it cannot help to place the scene; the others can
    return found


def _sampled(parts: dict[int, Shape], rng: np.random.Generator) -> dict[int, np.ndarray]:
    found = {}
    for i, shape in parts.items():
        try:
            found[i] = sample_shape(shape, _FIT_POINTS, rng).points_N3
        except EmptyShape:
            continue  # the judge reports it as failed, with its reason
    return found


def _instance_id(path: Path) -> int | None:
    """The instance id at the end of a file's name."""
    found = re.search(r"(\d+)$", path.stem)
    return int(found[1]) if found else None


def _all_failed(scene: SceneInput, reason: str) -> SystemAnswer:
    return SystemAnswer(tuple(Prediction(i, None, "failed", reason) for i in scene.instance_ids))
