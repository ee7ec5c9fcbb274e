"""The views and scenes tables: schema, file metadata, and one row of each encoded and decoded.

A change here is a change of the format: raise SCHEMA_VERSION and say so in the CHANGELOG.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from scenegen.contract import codecs
from scenegen.contract.fields import one_row
from scenegen.contract.records import BOTH, FIRST, ObjectFacts, Scene, SceneObject, View, ViewImages
from scenegen.contract.view_columns import OPAQUE_FIELDS, SCENE_FIELDS, VIEW_FIELDS

SCHEMA_VERSION = 2

FIELDS = {"views": VIEW_FIELDS, "scenes": SCENE_FIELDS}


def fields_of(table: str, transparent: str = FIRST) -> list[pa.Field]:
    """The columns of "views" or "scenes" in a dataset that shows these surfaces. Raises KeyError for another table."""
    return FIELDS[table] + (OPAQUE_FIELDS if table == "views" and transparent == BOTH else [])


def version_of(transparent: str) -> int:
    """The oldest schema version that describes such a dataset, so that older kinds of datasets keep their bytes."""
    return 1 if transparent == FIRST else SCHEMA_VERSION


@dataclass(frozen=True, slots=True)
class ShardMeta:
    """What is true for every row of a dataset; stored as key-value metadata of each shard file.

    config_digest, dataset_seed: of the dataset. code_version: of the package that made it.
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
    """The schema of "views" or "scenes"; with `meta`, that of the dataset, with its file metadata."""
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

    K_px: (3, 3), pixels. T_world_cam: (4, 4), camera to world, metres, OpenCV axes. objects: what the view shows of
    each. Raises ValueError for images that break the conventions.
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
