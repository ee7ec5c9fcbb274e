"""The columns of the views and scenes tables, each with its shape, unit, axes and invalid value in the metadata.

A change here is a change of the format: raise schema.SCHEMA_VERSION and say so in the CHANGELOG.
"""

import pyarrow as pa

from scenegen.contract.fields import PLANES_DOC, field_of

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
