"""A scene of a dataset as a recording for the Rerun viewer.

    world/room                      the floor, and lines where walls stand on it
    world/objects/003               an object, placed by T_world_obj; below it a mesh for each of its materials
    world/camera                    by the timeline `view`: the camera, with rgb, depth, ids, normals, boxes, estimates
    world/points                    by the timeline `view`: what it shows, as coloured points
    world/estimates/moge2           the same from an estimator's depth, aligned; hidden until it is switched on

Shapes: H W image.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from scenegen.contract.dataset import IMAGES, Dataset
from scenegen.contract.records import BACKGROUND_ID, BOTH, FLOOR_ID, OPAQUE_IMAGES, WALL_ID, Scene, View
from scenegen.contract.rerun import log as rerun_log
from scenegen.errors import UsageError
from scenegen.layout.planes import room_planes
from scenegen.view import colours
from scenegen.view.gallery import estimates_of, spread
from scenegen.view.models import Model, Models

if TYPE_CHECKING:
    from rerun import RecordingStream
    from rerun.blueprint import Blueprint

    from scenegen.assets.painted import PaintedPart

TIMELINE = "view"
_CAMERA = "world/camera"
_FLOOR_COLOUR, _WALL_COLOUR = (150, 150, 154), (230, 230, 236)
_BELOW_M = 0.01  # the floor is drawn this much too low, so that it does not hide the points on it
_TEXTURE_PX = 512


@dataclass
class SceneRecording:
    """A scene to be logged.

    numbers: of its views in the dataset, in their order. without_model: uids whose models were not found; known when
    the scene is logged.
    """

    dataset: Dataset
    scene: Scene
    numbers: Sequence[int]
    models: Models
    without_model: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, dataset: Dataset, scene_index: int | None, models: Models, max_views: int) -> "SceneRecording":
        """scene_index: None for the first scene that has views. Raises UsageError if the dataset has none of it."""
        indices = dataset.table("views", ["scene_index"])["scene_index"].to_numpy()
        chosen = int(indices[0]) if scene_index is None else scene_index
        numbers = np.flatnonzero(indices == chosen).tolist()
        if not numbers:
            raise UsageError(
                f"there is no view of scene {chosen} in {dataset.root.location}; "
                f"its scenes go from {indices.min()} to {indices.max()}"
            )
        shown = [numbers[each] for each in spread(len(numbers), max_views)]
        return cls(dataset, dataset.scene(chosen), shown, models)

    @property
    def name(self) -> str:
        return f"scene {self.scene.scene_index} of {self.dataset.root.location}"

    def blueprint(self) -> "Blueprint":
        """The scene in 3D beside the images of the camera."""
        import rerun.blueprint as rrb

        estimators = self.dataset.estimators(complete=False)
        hidden = rrb.EntityBehavior(visible=False)
        flat = ["depth", "ids", "normals", "boxes", "estimates"]  # these would be drawn over the image in 3D
        scene = rrb.Spatial3DView(
            name="scene",
            origin="world",
            contents=["+ $origin/**", *(f"- {_CAMERA}/{name}/**" for name in flat)],
            overrides={f"world/estimates/{name}": hidden for name in estimators},
        )
        depths = [self._image("depth"), *(self._image(f"estimates/{name}") for name in estimators)]
        images = rrb.Grid(
            self._image("rgb", "boxes"),
            self._image("ids"),
            rrb.Tabs(*depths) if estimators else depths[0],
            self._image("normals"),
            grid_columns=2,
        )
        return rrb.Blueprint(
            rrb.Horizontal(scene, images, column_shares=[3, 2]),
            rrb.BlueprintPanel(state="expanded"),
            rrb.SelectionPanel(state="collapsed"),
            rrb.TimePanel(state="collapsed"),
        )

    @staticmethod
    def _image(name: str, *over: str) -> Any:
        import rerun.blueprint as rrb

        shown = [f"+ {_CAMERA}/{each}/**" for each in (name, *over)]
        return rrb.Spatial2DView(name=name.rpartition("/")[2], origin=_CAMERA, contents=shown)

    def log(self, recording: "RecordingStream") -> None:
        fixed = {BACKGROUND_ID: "background", FLOOR_ID: "floor", WALL_ID: "wall"}
        names = fixed | {one.instance_id: one.asset_uid for one in self.scene.objects}
        rerun_log.log_world(recording, {number: (name, colours.id_colour(number)) for number, name in names.items()})
        _log_room(recording, self.scene)
        for one in self.scene.objects:
            self._log_object(recording, one.instance_id, one.asset_uid, one.T_world_obj)
        for number in self.numbers:
            images = (*IMAGES, *(OPAQUE_IMAGES if self.dataset.transparent == BOTH else ()))
            view = self.dataset.view(number, images)
            with rerun_log.at(recording, TIMELINE, view.view_index):
                _log_view(recording, view)
                self._log_estimates(recording, view, number)

    def _log_object(self, recording: "RecordingStream", number: int, uid: str, T_world_obj: np.ndarray) -> None:
        place = f"world/objects/{number:03d}"
        rerun_log.log_placed(recording, place, T_world_obj, static=True)
        model = self.models.find(uid)
        if model is None:
            self.without_model.append(uid)
            return
        for index, part in enumerate(model.parts):
            recording.log(f"{place}/part_{index}", _mesh(model, part, number), static=True)

    def _log_estimates(self, recording: "RecordingStream", view: View, number: int) -> None:
        assert view.depth_m is not None and view.rgb is not None
        for estimate in estimates_of(self.dataset, number):
            depth_m = np.where(estimate.valid, estimate.aligned_m, np.nan)
            place = f"{_CAMERA}/estimates/{estimate.estimator}"
            rerun_log.log_depth(recording, place, depth_m, colours.depth_span(view.depth_m))
            place = f"world/estimates/{estimate.estimator}"
            rerun_log.log_points(recording, place, depth_m, view.rgb, view.K_px, view.T_world_cam)


def _log_view(recording: "RecordingStream", view: View) -> None:
    import rerun as rr

    assert view.rgb is not None and view.depth_m is not None
    assert view.instance_id is not None and view.normal_cam is not None
    rerun_log.log_camera(recording, _CAMERA, view.K_px, view.T_world_cam, view.size_px)
    recording.log(f"{_CAMERA}/rgb", _png(view.rgb))
    recording.log(f"{_CAMERA}/normals", _png(colours.normal_picture(view.normal_cam)))
    recording.log(f"{_CAMERA}/ids", rr.SegmentationImage(view.instance_id))
    span = colours.depth_span(view.depth_m)
    rerun_log.log_depth(recording, f"{_CAMERA}/depth", view.depth_m, span)
    if view.depth_opaque_m is not None:  # behind glass; the layout does not show them, but they can be added to it
        assert view.instance_id_opaque is not None and view.normal_cam_opaque is not None
        recording.log(f"{_CAMERA}/opaque/normals", _png(colours.normal_picture(view.normal_cam_opaque)))
        recording.log(f"{_CAMERA}/opaque/ids", rr.SegmentationImage(view.instance_id_opaque))
        rerun_log.log_depth(recording, f"{_CAMERA}/opaque/depth", view.depth_opaque_m, span)
    seen = [one for one in view.objects if one.facts.visible_px]
    boxes = np.array([one.facts.visible_box_px for one in seen], float).reshape(-1, 4)
    labels = [f"{one.asset_uid}, {one.facts.occlusion:.0%} occluded" for one in seen]
    ids = [one.instance_id for one in seen]
    described = rr.Boxes2D(
        array=boxes, array_format=rr.Box2DFormat.XYXY, labels=labels, class_ids=ids, show_labels=False
    )
    recording.log(f"{_CAMERA}/boxes", described)
    rerun_log.log_points(recording, "world/points", view.depth_m, view.rgb, view.K_px, view.T_world_cam)


def _log_room(recording: "RecordingStream", scene: Scene) -> None:
    import rerun as rr

    planes = [*room_planes(scene)]
    for floor in (plane for plane in planes if plane.instance_id == FLOOR_ID):
        drawn = rr.Mesh3D(
            vertex_positions=floor.corners_m - [0, 0, _BELOW_M],
            triangle_indices=[[0, 1, 2], [0, 2, 3]],
            vertex_colors=[_FLOOR_COLOUR] * 4,
        )
        recording.log("world/room/floor", drawn, static=True)
    walls = [plane.corners_m[:2] for plane in planes if plane.instance_id == WALL_ID]  # as lines on the floor
    recording.log("world/room/walls", rr.LineStrips3D(walls, colors=[_WALL_COLOUR]), static=True)


def _mesh(model: Model, part: "PaintedPart", number: int) -> Any:
    """Its material, where it is known; otherwise the colour of its id."""
    import rerun as rr

    from scenegen.assets.painted import to_srgb

    colour = to_srgb(np.array(part.colour)).tolist() if model.painted else [*colours.id_colour(number)]
    texture = None
    if part.texture is not None:
        picture = Image.fromarray(part.texture)
        picture.thumbnail((_TEXTURE_PX, _TEXTURE_PX))
        texture = np.asarray(picture)
    return rr.Mesh3D(
        vertex_positions=part.vertices,
        triangle_indices=part.faces,
        vertex_normals=part.normals,
        vertex_colors=None if part.colours_V3 is None else to_srgb(part.colours_V3),
        vertex_texcoords=part.uv,
        albedo_texture=texture,
        albedo_factor=[*colour, 255],
    )


def _png(picture: np.ndarray) -> Any:
    """An image with all its bits, in a third of the bytes."""
    import rerun as rr

    packed = io.BytesIO()
    Image.fromarray(picture).save(packed, "PNG", compress_level=2)
    return rr.EncodedImage(contents=packed.getvalue(), media_type="image/png")
