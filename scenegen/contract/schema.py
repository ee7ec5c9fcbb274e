"""The columns of a shard, with their conventions in the field metadata, and one row of each table.

A change here is a change of the format: raise SCHEMA_VERSION and say so in the CHANGELOG.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from scenegen.contract import codecs
from scenegen.contract.fields import PLANES_DOC, field_of, one_row
from scenegen.contract.records import BOTH, FIRST, ObjectFacts, Scene, SceneObject, View, ViewImages

SCHEMA_VERSION = 2

_RGB_DOC = "lossless WebP; (H, W, 3) uint8 sRGB display values; file metadata colour_transform names the transform"
_POSE_DOC = "4x4 row-major, column vectors"


_IDS_DOC = "uint16 ids without antialiasing: 0 background, 1 floor, 2 wall, >= 3 objects"
_NORMALS_DOC = "unit surface normals facing the camera, octahedral: code = 8192 + round(8191 * uv)"
_BEHIND = "of the first opaque surface, straight through what is transparent"
_BOX = pa.list_(pa.int32(), 4)
_MATRIX_4X4 = pa.list_(pa.float64(), 16)

OBJECT_FACTS = pa.struct(
    [
        field_of("instance_id", pa.uint16(), "value in the instance_id image, >= 3"),
        field_of("visible_px", pa.int32(), "pixels with this id", unit="pixel"),
        field_of("amodal_px", pa.int32(), "pixels the object alone would cover inside the frame", unit="pixel"),
        field_of("occlusion", pa.float32(), "1 - visible_px / amodal_px; 0 when amodal_px is 0"),
        field_of("truncation", pa.float32(), "share of the object's silhouette outside the frame"),
        field_of("mask_components", pa.int32(), "8-connected components of the visible mask"),
        field_of("visible_box_px", _BOX, "x0, y0, x1, y1; x1, y1 exclusive; zeros when empty", unit="pixel"),
        field_of("amodal_box_px", _BOX, "like visible_box_px, of the amodal silhouette inside the frame", unit="pixel"),
    ]
)

SCENE_OBJECT = pa.struct(
    [
        field_of("instance_id", pa.uint16(), "value in the instance_id image, >= 3"),
        field_of("asset_uid", pa.string(), "key of the asset manifest"),
        field_of("asset_sha256", pa.string(), "sha256 of the prepared asset file"),
        field_of("licence", pa.string(), "SPDX id"),
        field_of(
            "T_world_obj",
            _MATRIX_4X4,
            f"{_POSE_DOC}; canonical object coordinates (centred, longest side 1, z up) to world",
            unit="metre",
        ),
    ]
)

REASON_COUNT = pa.struct([pa.field("reason", pa.string(), False), pa.field("count", pa.int32(), False)])

VIEW_FIELDS = [
    field_of("scene_index", pa.int64(), "the scene; with view_index the key of the row"),
    field_of("view_index", pa.int32(), "the view in its scene, from 0"),
    field_of("width", pa.int32(), "image width W", unit="pixel"),
    field_of("height", pa.int32(), "image height H", unit="pixel"),
    field_of(
        "K_px",
        pa.list_(pa.float64(), 9),
        "3x3 intrinsics, row-major; the centre of the first pixel is (0.5, 0.5)",
        unit="pixel",
    ),
    field_of(
        "T_world_cam",
        _MATRIX_4X4,
        f"{_POSE_DOC}; camera to world",
        unit="metre",
        axes="OpenCV: x right, y down, z forward; for OpenGL multiply by diag(1, -1, -1, 1) on the right; world z up",
    ),
    field_of("rgb", pa.large_binary(), _RGB_DOC, shape="H,W,3"),
    field_of(
        "depth",
        pa.large_binary(),
        f"planar z, not ray length; depth = depth_offset_m + code * depth_step_m; {PLANES_DOC}",
        shape="H,W",
        unit="metre",
        invalid="code 0, NaN once decoded",
    ),
    field_of("depth_offset_m", pa.float64(), "see depth", unit="metre"),
    field_of("depth_step_m", pa.float64(), "see depth; the error is at most half of it", unit="metre"),
    field_of(
        "instance_id",
        pa.large_binary(),
        f"{_IDS_DOC}; {PLANES_DOC}",
        shape="H,W",
    ),
    field_of(
        "normal_cam",
        pa.large_binary(),
        f"{_NORMALS_DOC}; {PLANES_DOC}",
        shape="H,W,2",
        axes="camera, OpenCV",
        invalid="codes 0, NaN once decoded",
    ),
    field_of("albedo", pa.large_binary(), f"diffuse colour; null unless asked for; {_RGB_DOC}", True, shape="H,W,3"),
    field_of("thumbnail", pa.binary(), "small JPEG for dataset viewers, not for training"),
    field_of("objects", pa.list_(pa.field("element", OBJECT_FACTS, False)), "every object of the scene, seen or not"),
]

SCENE_FIELDS = [
    field_of("scene_index", pa.int64(), "key of the row"),
    field_of("status", pa.string(), "ok or failed; a failed scene has no views"),
    field_of("failure", pa.string(), "why it failed, else empty"),
    field_of("objects", pa.list_(pa.field("element", SCENE_OBJECT, False)), "placed objects"),
    field_of("objects_requested", pa.int32(), "assets that the scene asked for"),
    field_of("placement_attempts", pa.int32(), "collision-tested poses"),
    field_of(
        "views_rejected", pa.list_(pa.field("element", REASON_COUNT, False)), "candidate views refused, by reason"
    ),
    field_of("num_walls", pa.int32(), "0 to 4; 0 is an outdoor scene"),
    field_of("hdri_uid", pa.string(), "environment map"),
    field_of("licences", pa.list_(pa.string()), "SPDX ids of the objects, sorted, without repeats"),
    field_of("commercial_use", pa.bool_(), "true when every asset of the scene may be used commercially"),
    field_of("spec_json", pa.string(), "the whole scene description; rebuilds the scene alone"),
    field_of("spec_sha256", pa.string(), "of spec_json; equal for every run with one seed and one config"),
]

OPAQUE_FIELDS = [
    field_of(
        "depth_opaque",
        pa.large_binary(),
        f"planar z, {_BEHIND}; depth_opaque_offset_m + code * depth_opaque_step_m; {PLANES_DOC}",
        shape="H,W",
        unit="metre",
        invalid="code 0, NaN once decoded",
    ),
    field_of("depth_opaque_offset_m", pa.float64(), "see depth_opaque", unit="metre"),
    field_of("depth_opaque_step_m", pa.float64(), "see depth_opaque; the error is at most half of it", unit="metre"),
    field_of("instance_id_opaque", pa.large_binary(), f"{_IDS_DOC}, {_BEHIND}; {PLANES_DOC}", shape="H,W"),
    field_of(
        "normal_cam_opaque",
        pa.large_binary(),
        f"{_NORMALS_DOC}, {_BEHIND}; {PLANES_DOC}",
        shape="H,W,2",
        axes="camera, OpenCV",
        invalid="codes 0, NaN once decoded",
    ),
]
"""The last columns of the views of a dataset that has both surfaces."""


FIELDS = {"views": VIEW_FIELDS, "scenes": SCENE_FIELDS}


def fields_of(table: str, transparent: str = FIRST) -> list[pa.Field]:
    """The columns of "views" or "scenes" in a dataset that shows these surfaces. Raises KeyError for another table."""
    return FIELDS[table] + (OPAQUE_FIELDS if table == "views" and transparent == BOTH else [])


def version_of(transparent: str) -> int:
    """The oldest version that describes such a dataset: what needs nothing new says nothing new, byte by byte."""
    return 1 if transparent == FIRST else SCHEMA_VERSION


@dataclass(frozen=True, slots=True)
class ShardMeta:
    """What is true for every row of a dataset; stored as key-value metadata of each shard file.

    transparent: which surfaces it shows, first, opaque or both; a file that says nothing shows the first.
    """

    config_digest: str
    dataset_seed: int
    code_version: str
    renderer: str
    """ "blender <bpy version>", or the name of whatever drew the images."""
    colour_transform: str
    transparent: str = FIRST

    def to_metadata(self) -> dict[str, str]:
        return {
            "schema_version": str(version_of(self.transparent)),
            "config_digest": self.config_digest,
            "dataset_seed": str(self.dataset_seed),
            "code_version": self.code_version,
            "renderer": self.renderer,
            "colour_transform": self.colour_transform,
            **({} if self.transparent == FIRST else {"transparent": self.transparent}),
        }


def table_schema(table: str, meta: ShardMeta | None = None) -> pa.Schema:
    """The schema of "views" or "scenes"; of the dataset, with its file metadata, when that is given."""
    if meta is None:
        return pa.schema(fields_of(table))
    return pa.schema(fields_of(table, meta.transparent), metadata=meta.to_metadata())


def encode_view(
    scene_index: int,
    view_index: int,
    K_px: np.ndarray,
    T_world_cam: np.ndarray,
    images: ViewImages,
    objects: Sequence[ObjectFacts],
) -> pa.RecordBatch:
    """One row of the views table, with the opaque surfaces if the images have them.

    Raises ValueError for images that break the conventions.
    """
    height, width = images.instance_id.shape
    depth, offset, step = codecs.encode_depth(images.depth_m)
    row = {
        "scene_index": scene_index,
        "view_index": view_index,
        "width": width,
        "height": height,
        "K_px": np.asarray(K_px, np.float64).ravel(),
        "T_world_cam": np.asarray(T_world_cam, np.float64).ravel(),
        "rgb": codecs.encode_rgb(images.rgb),
        "depth": depth,
        "depth_offset_m": offset,
        "depth_step_m": step,
        "instance_id": codecs.encode_planes(images.instance_id),
        "normal_cam": codecs.encode_normals(images.normal_cam),
        "albedo": None if images.albedo is None else codecs.encode_rgb(images.albedo),
        "thumbnail": codecs.encode_thumbnail(images.rgb),
        "objects": [_facts_row(facts) for facts in objects],
    }
    if images.depth_opaque_m is None:
        return one_row(row, table_schema("views"))
    assert images.instance_id_opaque is not None and images.normal_cam_opaque is not None
    depth, offset, step = codecs.encode_depth(images.depth_opaque_m)
    row |= {
        "depth_opaque": depth,
        "depth_opaque_offset_m": offset,
        "depth_opaque_step_m": step,
        "instance_id_opaque": codecs.encode_planes(images.instance_id_opaque),
        "normal_cam_opaque": codecs.encode_normals(images.normal_cam_opaque),
    }
    return one_row(row, pa.schema(fields_of("views", BOTH)))


def encode_scene(scene: Scene) -> pa.RecordBatch:
    """One row of the scenes table."""
    row = {name: getattr(scene, name) for name in table_schema("scenes").names if name not in ("objects",)}
    row["views_rejected"] = [{"reason": reason, "count": count} for reason, count in scene.views_rejected]
    row["licences"] = list(scene.licences)
    row["objects"] = [
        {
            "instance_id": o.instance_id,
            "asset_uid": o.asset_uid,
            "asset_sha256": o.asset_sha256,
            "licence": o.licence,
            "T_world_obj": np.asarray(o.T_world_obj, np.float64).ravel(),
        }
        for o in scene.objects
    ]
    return one_row(row, table_schema("scenes"))


def decode_scene(row: dict) -> Scene:
    """A row of the scenes table (as Python values) to a Scene."""
    objects = tuple(
        SceneObject(
            instance_id=o["instance_id"],
            asset_uid=o["asset_uid"],
            asset_sha256=o["asset_sha256"],
            licence=o["licence"],
            T_world_obj=np.array(o["T_world_obj"]).reshape(4, 4),
        )
        for o in row["objects"]
    )
    rejected = tuple((r["reason"], r["count"]) for r in row["views_rejected"])
    return Scene(**{**row, "objects": objects, "views_rejected": rejected, "licences": tuple(row["licences"])})


def decode_facts(row: dict) -> ObjectFacts:
    """An element of a view's `objects` (as Python values) to ObjectFacts."""
    boxes = {name: tuple(row[name]) for name in ("visible_box_px", "amodal_box_px")}
    return ObjectFacts(**{**row, **boxes})


def decode_view(row: dict, facts: Sequence[ObjectFacts]) -> View:
    """The images and camera of a views row (as Python values); `objects` is filled by the dataset.

    Images whose column was not read are None.
    """
    return View(
        scene_index=row["scene_index"],
        view_index=row["view_index"],
        size_px=(row["width"], row["height"]),
        K_px=np.array(row["K_px"]).reshape(3, 3),
        T_world_cam=np.array(row["T_world_cam"]).reshape(4, 4),
        facts=tuple(facts),
        rgb=_optional_image(row.get("rgb")),
        albedo=_optional_image(row.get("albedo")),
        depth_m=_optional_depth(row, "depth"),
        instance_id=_optional(row, "instance_id", codecs.decode_planes),
        normal_cam=_optional(row, "normal_cam", codecs.decode_normals),
        depth_opaque_m=_optional_depth(row, "depth_opaque"),
        instance_id_opaque=_optional(row, "instance_id_opaque", codecs.decode_planes),
        normal_cam_opaque=_optional(row, "normal_cam_opaque", codecs.decode_normals),
    )


def _optional_depth(row: dict, column: str) -> np.ndarray | None:
    if row.get(column) is None:
        return None
    offset, step = row[f"{column}_offset_m"], row[f"{column}_step_m"]
    return codecs.decode_depth(row[column], offset, step, row["height"], row["width"])


def _optional(row: dict, column: str, decode: Callable[[bytes, int, int], np.ndarray]) -> np.ndarray | None:
    return None if row.get(column) is None else decode(row[column], row["height"], row["width"])


def _optional_image(blob: bytes | None) -> np.ndarray | None:
    return None if blob is None else codecs.decode_rgb(blob)


def _facts_row(facts: ObjectFacts) -> dict:
    return {name: getattr(facts, name) for name in ObjectFacts.__slots__}
