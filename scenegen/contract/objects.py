"""The objects tables, about each asset by itself: geometry, clean renders, image features in its voxels, latents.

The assets of a dataset are sorted by uid and divided into fixed ranges; shard 00017 of every table holds the same
range. Each step has a table of its own, so that it can be left out, or made again, without touching the others:

    objects-00017-of-00700.parquet                    geometry; one row an asset, also for one that failed
    objects_views-00017-of-00700.parquet              clean renders; one row a view
    objects_features_<extractor>-00017-of-…           image features averaged into the voxels; one row an asset
    objects_latents_<encoder>-00017-of-…              latents; one row an asset and rotation

Every row is a row group. A change here is a change of the format: raise OBJECTS_VERSION.
Shapes: V vertices, F faces, N voxels, C feature channels, H, W image. Object frame: canonical, centred, longest side 1,
z up, so that everything lies in [-0.5, 0.5]^3; unit: canonical lengths.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa

from scenegen.contract import codecs
from scenegen.contract.fields import one_row
from scenegen.contract.object_columns import FEATURE_FIELDS, GEOMETRY_FIELDS, LATENT_FIELDS, VIEW_FIELDS

OBJECTS_VERSION = 1
OBJECTS = "objects"
VIEWS = "objects_views"
FEATURES_PREFIX = "objects_features_"
LATENTS_PREFIX = "objects_latents_"
GRID = 64
"""Voxels along each axis of the canonical cube."""

ViewKind = Literal["condition", "feature"]
VIEW_KINDS: tuple[ViewKind, ...] = get_args(ViewKind)


@dataclass(frozen=True, slots=True)
class ObjectGeometry:
    """One asset in its canonical frame.

    vertices: (V, 3) float32. faces: (F, 3) int32, counter-clockwise from outside where the asset was consistent.
    voxels: (N, 3) uint8, the voxels of the 64^3 grid that the surface touches, sorted by (x, y, z).
    status: "ok", or "failed" with the reason in `failure` and empty arrays.
    """

    asset_uid: str
    asset_sha256: str
    licence: str
    split: str
    vertices: np.ndarray
    faces: np.ndarray
    voxels: np.ndarray
    status: str = "ok"
    failure: str = ""


@dataclass(frozen=True, slots=True)
class ObjectView:
    """One render of an asset alone, on nothing, with the renderer and the colour transform of the scenes.

    kind: "condition" (random views, like unoccluded photographs) or "feature" (views that cover the sphere evenly).
    size_px: (width, height). K_px: (3, 3) float64, the centre of the first pixel is (0.5, 0.5). T_obj_cam: (4, 4)
    float64, camera to canonical object, OpenCV axes. rgba: (H, W, 4) uint8, straight alpha. depth: (H, W) float32,
    planar z in canonical lengths, NaN on nothing. crop: (S, S, 3) uint8 or None: the input of image encoders, a square
    around the object on black with a side of 1.2 times its box, resized (Lanczos). It is stored because every training
    sample needs one, and decoding and resizing the whole view would cost more than the rest of the sample.
    """

    asset_uid: str
    kind: ViewKind
    view_index: int
    size_px: tuple[int, int]
    K_px: np.ndarray
    T_obj_cam: np.ndarray
    rgba: np.ndarray | None = None
    depth: np.ndarray | None = None
    crop: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class VoxelFeatures:
    """Image features averaged into the voxels of an asset; the rows are those of ObjectGeometry.voxels.

    feats: (N, C) float16. views_seen: (N,) uint16, the number of views in the mean; 0 where no view saw the voxel,
    and then the mean is over the views of the nearest voxel that is seen.
    """

    asset_uid: str
    feats: np.ndarray
    views_seen: np.ndarray


@dataclass(frozen=True, slots=True)
class ObjectLatents:
    """The latents of an asset in one pose.

    rotation_index: 0 is the canonical pose. T_rot_obj: (4, 4) float64, canonical coordinates to those of the rotated
    and re-normalised asset (a rotation, a uniform scale and a shift that bring it back into [-0.5, 0.5]^3).
    coords: (N, 3) uint8, its voxels, sorted. slat: (N, 8) float32 mean of the posterior, not normalised; None without
    a SLAT encoder. structure: (8, 16, 16, 16) float32 mean; None without a structure encoder.
    """

    asset_uid: str
    rotation_index: int
    T_rot_obj: np.ndarray
    coords: np.ndarray
    slat: np.ndarray | None = None
    structure: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class StepMeta:
    """What is true for every row of a file, stored as its key-value metadata.

    step: the table. assets_digest: sha256 over the list of (uid, sha256) of all shards and the number of assets in a
    shard. settings: what decides the rows (sizes, counts, seeds, weights and their sha256, the other steps'
    settings that were used). renderer, colour_transform: of the views, as in the scenes.
    """

    step: str
    assets_digest: str
    code_version: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    renderer: str = ""
    colour_transform: str = ""

    def to_metadata(self) -> dict[str, str]:
        return {
            "objects_version": str(OBJECTS_VERSION),
            "step": self.step,
            "assets_digest": self.assets_digest,
            "code_version": self.code_version,
            "settings": json.dumps(dict(self.settings), sort_keys=True),
            "renderer": self.renderer,
            "colour_transform": self.colour_transform,
        }

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> "StepMeta":
        """Raises ValueError if this is not an objects file's metadata, or one of another version."""
        if metadata.get("objects_version") != str(OBJECTS_VERSION):
            raise ValueError(
                f"objects version {metadata.get('objects_version', 'none')} is not {OBJECTS_VERSION}; "
                "make the file again with: scenegen objects"
            )
        values: dict[str, Any] = {key: metadata[key] for key in cls.__slots__}
        return cls(**{**values, "settings": json.loads(values["settings"])})


def object_fields(table: str) -> list[pa.Field]:
    """The columns of a table. Raises ValueError for an unknown table."""
    if table == OBJECTS:
        return GEOMETRY_FIELDS
    if table == VIEWS:
        return VIEW_FIELDS
    if table.startswith(FEATURES_PREFIX):
        return FEATURE_FIELDS
    if table.startswith(LATENTS_PREFIX):
        return LATENT_FIELDS
    raise ValueError(f"{table!r} is no table of objects")


def object_schema(table: str, meta: StepMeta | None = None) -> pa.Schema:
    """The schema of a table; with `meta`, with its file metadata."""
    return pa.schema(object_fields(table), metadata=meta.to_metadata() if meta else None)


def encode_geometry(geometry: ObjectGeometry) -> pa.RecordBatch:
    """One row of the objects table. Raises ValueError for arrays that break the conventions."""
    voxels = _checked_coords(geometry.voxels)
    row = {
        "asset_uid": geometry.asset_uid,
        "asset_sha256": geometry.asset_sha256,
        "licence": geometry.licence,
        "split": geometry.split,
        "status": geometry.status,
        "failure": geometry.failure,
        "num_vertices": len(geometry.vertices),
        "num_faces": len(geometry.faces),
        "num_voxels": len(voxels),
        "vertices": _pack(geometry.vertices, np.float32),
        "faces": _pack(geometry.faces, np.int32),
        "voxels": _pack(voxels, np.uint8),
    }
    return one_row(row, object_schema(OBJECTS))


def decode_geometry(row: Mapping[str, Any]) -> ObjectGeometry:
    """A row of the objects table (as Python values) to ObjectGeometry."""
    return ObjectGeometry(
        **{name: row[name] for name in ("asset_uid", "asset_sha256", "licence", "split", "status", "failure")},
        vertices=_unpack(row["vertices"], np.float32, (row["num_vertices"], 3)),
        faces=_unpack(row["faces"], np.int32, (row["num_faces"], 3)),
        voxels=_unpack(row["voxels"], np.uint8, (row["num_voxels"], 3)),
    )


def encode_object_view(view: ObjectView) -> pa.RecordBatch:
    """One row of the views table. Raises ValueError for images that break the conventions."""
    if view.rgba is None:
        raise ValueError("a view without an image cannot be stored")
    depth, offset, step = (None, None, None) if view.depth is None else codecs.encode_depth(view.depth)
    row = {
        "asset_uid": view.asset_uid,
        "kind": view.kind,
        "view_index": view.view_index,
        "width": view.size_px[0],
        "height": view.size_px[1],
        "K_px": np.asarray(view.K_px, np.float64).ravel(),
        "T_obj_cam": np.asarray(view.T_obj_cam, np.float64).ravel(),
        "rgba": codecs.encode_rgba(view.rgba),
        "depth": depth,
        "depth_offset": offset,
        "depth_step": step,
        "crop": None if view.crop is None else codecs.encode_rgb(view.crop),
    }
    return one_row(row, object_schema(VIEWS))


def decode_object_view(row: Mapping[str, Any]) -> ObjectView:
    """A row of the views table to ObjectView; images whose column was not read, or that were not stored, are None."""
    size = (row["height"], row["width"])
    rgba, depth, crop = row.get("rgba"), row.get("depth"), row.get("crop")
    return ObjectView(
        asset_uid=row["asset_uid"],
        kind=row["kind"],
        view_index=row["view_index"],
        size_px=(row["width"], row["height"]),
        K_px=np.array(row["K_px"]).reshape(3, 3),
        T_obj_cam=np.array(row["T_obj_cam"]).reshape(4, 4),
        rgba=None if rgba is None else codecs.decode_rgba(rgba),
        depth=None if depth is None else codecs.decode_depth(depth, row["depth_offset"], row["depth_step"], *size),
        crop=None if crop is None else codecs.decode_rgb(crop),
    )


def encode_features(features: VoxelFeatures) -> pa.RecordBatch:
    """One row of a features table."""
    row = {
        "asset_uid": features.asset_uid,
        "num_voxels": features.feats.shape[0],
        "channels": features.feats.shape[1],
        "feats": _pack(features.feats, np.float16),
        "views_seen": _pack(features.views_seen, np.uint16),
    }
    return one_row(row, object_schema(FEATURES_PREFIX))


def decode_features(row: Mapping[str, Any]) -> VoxelFeatures:
    """A row of a features table (as Python values) to VoxelFeatures."""
    size = row["num_voxels"]
    return VoxelFeatures(
        row["asset_uid"],
        _unpack(row["feats"], np.float16, (size, row["channels"])),
        _unpack(row["views_seen"], np.uint16, (size,)),
    )


def encode_latents(latents: ObjectLatents) -> pa.RecordBatch:
    """One row of a latents table. Raises ValueError for coordinates that are not sorted or outside the grid."""
    coords = _checked_coords(latents.coords)
    row = {
        "asset_uid": latents.asset_uid,
        "rotation_index": latents.rotation_index,
        "T_rot_obj": np.asarray(latents.T_rot_obj, np.float64).ravel(),
        "num_voxels": len(coords),
        "coords": _pack(coords, np.uint8),
        "slat": None if latents.slat is None else _pack(latents.slat, np.float32),
        "structure": None if latents.structure is None else _pack(latents.structure, np.float32),
    }
    return one_row(row, object_schema(LATENTS_PREFIX))


def decode_latents(row: Mapping[str, Any]) -> ObjectLatents:
    """A row of a latents table (as Python values) to ObjectLatents; columns that were not read are None."""
    size, slat, structure = row["num_voxels"], row.get("slat"), row.get("structure")
    return ObjectLatents(
        asset_uid=row["asset_uid"],
        rotation_index=row["rotation_index"],
        T_rot_obj=np.array(row["T_rot_obj"]).reshape(4, 4),
        coords=_unpack(row["coords"], np.uint8, (size, 3)),
        slat=None if slat is None else _unpack(slat, np.float32, (size, 8)),
        structure=None if structure is None else _unpack(structure, np.float32, (8, 16, 16, 16)),
    )


def _checked_coords(coords: np.ndarray) -> np.ndarray:
    code = coords.astype(np.int64) @ np.array([GRID * GRID, GRID, 1])
    if len(coords) and (coords.min() < 0 or coords.max() >= GRID or np.any(np.diff(code) <= 0)):
        raise ValueError(f"voxel coordinates must lie in 0..{GRID - 1}, sorted by x, y, z, without repeats")
    return coords


def _pack(values: np.ndarray, dtype: Any) -> bytes:
    return pa.Codec("zstd").compress(np.ascontiguousarray(values, dtype).tobytes(), asbytes=True)


def _unpack(blob: bytes, dtype: Any, shape: tuple[int, ...]) -> np.ndarray:
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer(pa.Codec("zstd").decompress(blob, size, asbytes=True), dtype).reshape(shape)
