"""A completion as a recording for the Rerun viewer: its steps, one after the other, where the objects are.

    world/camera                    the image with its masks, the given depth; world/points: the image as points
    world/instances/003/voxels      at stage 1 those that the image shows, at 2 completed, at 3 in the fine cube
    world/instances/003/mesh        at stage 4
    world/instances/003/gaussians   at stage 5
    stage                           a sentence about each stage

Shapes: H W image, V vertices, F faces, G Gaussians.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipelines.complete.export.instance_colours import colour_of
from pipelines.complete.export.scene import SceneObject
from pipelines.complete.export.stages import STAGES, stage_object
from pipelines.complete.inputs.scene_inputs import SceneInputs
from pipelines.complete.results import Completion, InstanceCompletion
from scenegen.contract.rerun import log as rerun_log

if TYPE_CHECKING:
    from rerun import RecordingStream
    from rerun.blueprint import Blueprint

TIMELINE = "stage"
INPUT, MESH, GAUSSIANS = 0, len(STAGES) + 1, len(STAGES) + 2
TITLES = {
    INPUT: "the image, its masks and its depth",
    1: "voxels that the image shows, in the coarse cube",
    2: "coarse voxels, completed",
    3: "fine voxels, completed in the cube around the coarse ones",
    MESH: "meshes",
    GAUSSIANS: "Gaussians, as points of their colours",
}
_CAMERA = "world/camera"
_SH_0 = 0.28209479177387814  # the constant spherical harmonic
_FAINTEST = 0.05  # Gaussians of less opacity would hide the others


@dataclass(frozen=True)
class StagesRecording:
    """objects: the completed instances as they are in the scene file."""

    completion: Completion
    inputs: SceneInputs
    objects: list[SceneObject]

    @property
    def name(self) -> str:
        return f"completed by {self.completion.checkpoint}"

    def blueprint(self) -> Blueprint:
        """The scene in 3D beside image, masks, depth and what the stage is."""
        import rerun.blueprint as rrb

        flat = [f"- {_CAMERA}/{name}/**" for name in ("masks", "depth")]  # would be drawn over the image in 3D
        scene = rrb.Spatial3DView(name="scene", origin="world", contents=["+ $origin/**", *flat])
        images = [
            rrb.Spatial2DView(name=name, origin=_CAMERA, contents=[f"+ {_CAMERA}/{name}/**"])
            for name in ("rgb", "masks", "depth")
        ]
        text = rrb.TextDocumentView(name="stage", origin="stage")
        return rrb.Blueprint(
            rrb.Horizontal(scene, rrb.Grid(*images, text, grid_columns=2), column_shares=[3, 2]),
            rrb.BlueprintPanel(state="expanded"),
            rrb.SelectionPanel(state="collapsed"),
            rrb.TimePanel(state="expanded"),
        )

    def log(self, recording: RecordingStream) -> None:
        instances = self.completion.instances
        names = {one.instance_id: (f"{one.instance_id}: {one.outcome}", _colour(one)) for one in instances}
        rerun_log.log_world(recording, {0: ("nothing", (0, 0, 0)), **names})
        self._log_input(recording)
        last = GAUSSIANS if any(one.gaussians is not None for one in instances) else MESH
        for number in range(last + 1):
            with rerun_log.at(recording, TIMELINE, number):
                self._log_title(recording, number)
                for one in instances:
                    self._log_instance(recording, one, number)

    def _log_input(self, recording: RecordingStream) -> None:
        """In all stages."""
        import rerun as rr

        inputs, camera = self.inputs, self.completion.camera
        height, width = inputs.depth_HW.shape
        rerun_log.log_camera(recording, _CAMERA, camera.K_px, camera.T_world_cam, (width, height), static=True)
        recording.log(f"{_CAMERA}/rgb", rr.Image(inputs.rgb_HW3), static=True)
        ids_HW = np.zeros((height, width), np.uint16)
        for one in self.completion.instances:
            ids_HW[inputs.masks[one.instance_id]] = one.instance_id
        recording.log(f"{_CAMERA}/masks", rr.SegmentationImage(ids_HW), static=True)
        known = inputs.depth_HW[np.isfinite(inputs.depth_HW)]
        span_m = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
        rerun_log.log_depth(recording, f"{_CAMERA}/depth", inputs.depth_HW, span_m, static=True)
        seen = (inputs.depth_HW, inputs.rgb_HW3, camera.K_px, camera.T_world_cam)
        rerun_log.log_points(recording, "world/points", *seen, static=True)

    def _log_title(self, recording: RecordingStream, number: int) -> None:
        import rerun as rr

        lines = [f"**{number}: {TITLES[number]}**", "", self.completion.checkpoint, ""]
        for one in self.completion.instances:
            lines.append(f"* {one.instance_id}: {one.outcome}{f', {one.reason}' if one.reason else ''}")
        recording.log("stage", rr.TextDocument("\n".join(lines), media_type="text/markdown"))

    def _log_instance(self, recording: RecordingStream, one: InstanceCompletion, number: int) -> None:
        """What is new of an instance at a stage, in the place of what was there."""
        import rerun as rr

        place = f"world/instances/{one.instance_id:03d}"
        for shown in ("voxels", "mesh", "gaussians"):
            recording.log(f"{place}/{shown}", rr.Clear(recursive=False))
        if 1 <= number <= len(STAGES):
            voxels = stage_object(one, STAGES[number - 1])
            if voxels is not None:
                _log_object(recording, f"{place}/voxels", voxels)
        elif number == MESH:
            for thing in self.objects:
                if thing.instance_id == one.instance_id:
                    _log_object(recording, f"{place}/mesh", thing)
        elif number == GAUSSIANS and one.gaussians is not None:
            _log_gaussians(recording, f"{place}/gaussians", one)


def _colour(one: InstanceCompletion) -> tuple[int, int, int]:
    red, green, blue = colour_of(one.instance_id).tolist()
    return red, green, blue


def _log_object(recording: RecordingStream, place: str, thing: SceneObject) -> None:
    import rerun as rr

    T_world_obj = np.diag([thing.scale, thing.scale, thing.scale, 1.0])
    T_world_obj[:3, 3] = thing.translation
    rerun_log.log_placed(recording, place, T_world_obj)
    texture = thing.texture
    mesh = rr.Mesh3D(
        vertex_positions=thing.vertices_V3,
        triangle_indices=thing.faces_F3.astype(np.uint32),
        vertex_normals=thing.normals_V3,
        vertex_colors=thing.colours_V3,
        vertex_texcoords=None if texture is None else texture.uv_V2,
        albedo_texture=None if texture is None else texture.image_SS3,
    )
    recording.log(place, mesh)


def _log_gaussians(recording: RecordingStream, place: str, one: InstanceCompletion) -> None:
    import rerun as rr

    gaussians, T = one.gaussians, one.T_world_obj
    assert gaussians is not None
    shown_G = gaussians.opacity_G1[:, 0] > _FAINTEST
    colours_G3 = gaussians.raw_features_G13[shown_G, 0].numpy() * _SH_0 + 0.5
    points = rr.Points3D(
        gaussians.xyz_G3[shown_G].numpy() @ T[:3, :3].T + T[:3, 3],
        colors=np.rint(np.clip(colours_G3, 0, 1) * 255).astype(np.uint8),
        radii=gaussians.scaling_G3[shown_G].numpy().mean(axis=1) * T[0, 0],
    )
    recording.log(place, points)
