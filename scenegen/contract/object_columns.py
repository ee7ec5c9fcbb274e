"""The columns of the objects tables, each with its shape, unit and meaning in the metadata.

A change here is a change of the format: raise objects.OBJECTS_VERSION. Shapes: see objects.py.
"""

import pyarrow as pa

from scenegen.contract.fields import PLANES_DOC, field_of

_BLOB_DOC = "little-endian, C order, zstd"
_T_DOC = "4x4 row-major, column vectors"
_T_4X4 = pa.list_(pa.float64(), 16)
_UID = field_of("asset_uid", pa.string(), "key of the asset manifest")

GEOMETRY_FIELDS = [
    _UID,
    field_of("asset_sha256", pa.string(), "sha256 of the prepared asset file"),
    field_of("licence", pa.string(), "SPDX id"),
    field_of("split", pa.string(), "train, val or test; decided by the asset"),
    field_of("status", pa.string(), "ok or failed; a failed asset has empty arrays and no row in other tables"),
    field_of("failure", pa.string(), "why it failed, else empty"),
    field_of("num_vertices", pa.int32(), "V"),
    field_of("num_faces", pa.int32(), "F"),
    field_of("num_voxels", pa.int32(), "N"),
    field_of(
        "vertices", pa.large_binary(), f"float32, {_BLOB_DOC}", shape="V,3", unit="canonical length", axes="object"
    ),
    field_of("faces", pa.large_binary(), f"int32 vertex indices, {_BLOB_DOC}", shape="F,3"),
    field_of(
        "voxels",
        pa.large_binary(),
        f"uint8 indices of the 64^3 voxels that the surface touches, sorted by x, y, z; {_BLOB_DOC}; "
        "centre = (index + 0.5) / 64 - 0.5",
        shape="N,3",
    ),
]

VIEW_FIELDS = [
    _UID,
    field_of("kind", pa.string(), "condition or feature"),
    field_of("view_index", pa.int32(), "the view among those of its kind, from 0"),
    field_of("width", pa.int32(), "W", unit="pixel"),
    field_of("height", pa.int32(), "H", unit="pixel"),
    field_of(
        "K_px",
        pa.list_(pa.float64(), 9),
        "3x3 intrinsics, row-major; the centre of the first pixel is (0.5, 0.5)",
        unit="pixel",
    ),
    field_of(
        "T_obj_cam",
        _T_4X4,
        f"{_T_DOC}; camera to canonical object",
        unit="canonical length",
        axes="OpenCV: x right, y down, z forward",
    ),
    field_of(
        "rgba",
        pa.large_binary(),
        "lossless WebP; sRGB display values after the file metadata's colour_transform, straight alpha",
        shape="H,W,4",
    ),
    field_of(
        "depth",
        pa.large_binary(),
        f"planar z = depth_offset + code * depth_step; {PLANES_DOC}; null when it was not stored",
        True,
        shape="H,W",
        unit="canonical length",
        invalid="code 0, NaN once decoded",
    ),
    field_of("depth_offset", pa.float64(), "see depth", True),
    field_of("depth_step", pa.float64(), "see depth", True),
    field_of(
        "crop",
        pa.large_binary(),
        "lossless WebP, sRGB on black: the square around the object, 1.2 times its box; null when it was not stored",
        True,
        shape="S,S,3",
    ),
]

FEATURE_FIELDS = [
    _UID,
    field_of("num_voxels", pa.int32(), "N"),
    field_of("channels", pa.int32(), "C"),
    field_of("feats", pa.large_binary(), f"float16, {_BLOB_DOC}; rows as voxels of the objects table", shape="N,C"),
    field_of("views_seen", pa.large_binary(), f"uint16 views that the mean is over, {_BLOB_DOC}", shape="N"),
]

LATENT_FIELDS = [
    _UID,
    field_of("rotation_index", pa.int32(), "0 is the canonical pose"),
    field_of(
        "T_rot_obj",
        _T_4X4,
        f"{_T_DOC}; canonical coordinates to those of the turned asset, re-normalised into [-0.5, 0.5]^3",
    ),
    field_of("num_voxels", pa.int32(), "N"),
    field_of("coords", pa.large_binary(), f"uint8 voxel indices, sorted by x, y, z; {_BLOB_DOC}", shape="N,3"),
    field_of("slat", pa.large_binary(), f"float32 posterior mean, not normalised; {_BLOB_DOC}", True, shape="N,8"),
    field_of("structure", pa.large_binary(), f"float32 posterior mean; {_BLOB_DOC}", True, shape="8,16,16,16"),
]
