"""What must be true of every row. Each check yields sentences about problems; none means that the row is valid."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from scenegen.contract.records import BACKGROUND_ID, FIRST_OBJECT_ID, OPAQUE_IMAGES, ObjectFacts, Scene, View
from scenegen.contract.sidecar import DepthEstimate

_NORMAL_TOLERANCE = 1e-3
_DEPTH_TOLERANCE_M = 1e-3  # more than the quantisation steps of two depth images
_ERROR_TOLERANCE = 0.02  # quantisation makes some pixels valid or invalid


def schema_problems(found: pa.Schema, wanted: pa.Schema) -> Iterator[str]:
    """Differences in columns, types and stated conventions."""
    if not found.equals(wanted, check_metadata=False):
        yield f"columns are {found.names} with types {found.types}, expected {wanted.names} with {wanted.types}"
        return
    for field in wanted:
        if found.field(field.name).metadata != field.metadata:
            yield f"column {field.name} states other conventions than this version of the contract"


def view_problems(view: View, scene: Scene) -> Iterator[str]:
    """Problems of a decoded view; all four images must be read, and the opaque ones if the dataset has them."""
    width, height = view.size_px
    shapes = {
        "rgb": (height, width, 3),
        "depth_m": (height, width),
        "instance_id": (height, width),
        "normal_cam": (height, width, 3),
    }
    if view.depth_opaque_m is not None:
        shapes |= {name: shapes[name.replace("_opaque", "")] for name in OPAQUE_IMAGES}
    for name, shape in shapes.items():
        image = getattr(view, name)
        if image is None or image.shape != shape:
            yield f"{name} has shape {None if image is None else image.shape} instead of {shape}"
            return
    yield from _camera_problems(view)
    assert view.depth_m is not None and view.instance_id is not None and view.normal_cam is not None
    yield from _image_problems(view.depth_m, view.instance_id, view.normal_cam)
    yield from _instance_problems(view, scene)
    if view.depth_opaque_m is not None:
        yield from (f"opaque surfaces: {problem}" for problem in _opaque_problems(view, scene))


def scene_problems(scene: Scene) -> Iterator[str]:
    """Problems of a row of the scenes table."""
    if scene.status not in ("ok", "failed"):
        yield f"status is {scene.status!r}"
    if (scene.status == "failed") != bool(scene.failure):
        yield f"status {scene.status} with failure {scene.failure!r}"
    ids = [o.instance_id for o in scene.objects]
    if len(set(ids)) != len(ids) or any(i < FIRST_OBJECT_ID for i in ids):
        yield f"instance ids {ids} are not unique ids from {FIRST_OBJECT_ID} up"
    for o in scene.objects:
        scale = np.cbrt(np.linalg.det(o.T_world_obj[:3, :3]))
        if not scale > 0 or not np.allclose(o.T_world_obj[:3, :3] / scale, _nearest_rotation(o.T_world_obj / scale)):
            yield f"T_world_obj of instance {o.instance_id} is not a similarity transform"


def estimate_problems(estimate: DepthEstimate, view: View) -> Iterator[str]:
    """Problems of a row of a sidecar, compared with its view (depth and ids must be read)."""
    assert view.depth_m is not None
    if (estimate.scene_index, estimate.view_index) != (view.scene_index, view.view_index):
        yield f"is of scene {estimate.scene_index}, view {estimate.view_index}: rows are not in the views' order"
        return
    if estimate.map.shape != view.depth_m.shape:
        yield f"the map has shape {estimate.map.shape} instead of {view.depth_m.shape}"
        return
    if estimate.confidence is not None and estimate.confidence.shape != estimate.map.shape:
        yield f"confidence has shape {estimate.confidence.shape} instead of {estimate.map.shape}"
    if not (np.nan_to_num(estimate.map, nan=1.0) >= 0).all() or np.isinf(estimate.map).any():
        yield "the map holds negative or infinite values"
    seen = {facts.instance_id for facts in view.facts if facts.visible_px}
    strangers = {one.instance_id for one in estimate.instances} - seen
    if strangers:
        yield f"aligns instances {sorted(strangers)} that the view does not show"
    if any(not one.scale > 0 for one in estimate.instances):
        yield "an instance's scale is not positive"
    yield from _alignment_problems(estimate, view.depth_m)


def _alignment_problems(estimate: DepthEstimate, truth_m: np.ndarray) -> Iterator[str]:
    """The stated error must be that of the stored map and coefficients."""
    if (estimate.alignment is None) != (estimate.errors is None):
        yield "states errors without an alignment, or an alignment without errors"
    if estimate.alignment is None or estimate.errors is None:
        return
    if not estimate.alignment.scale > 0:
        yield f"its alignment's scale is {estimate.alignment.scale}"
    aligned = estimate.aligned_m
    common = estimate.valid & np.isfinite(aligned) & np.isfinite(truth_m)
    if not common.any():
        yield "is aligned without a common pixel"
        return
    abs_rel = float((np.abs(aligned - truth_m) / truth_m)[common].mean(dtype=np.float64))
    if abs(abs_rel - estimate.errors.abs_rel) > _ERROR_TOLERANCE * max(abs_rel, 0.01):
        yield f"states abs_rel {estimate.errors.abs_rel:.4f}, its map gives {abs_rel:.4f}"


def _camera_problems(view: View) -> Iterator[str]:
    rotation = view.T_world_cam[:3, :3]
    if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-6) or np.linalg.det(rotation) < 0:
        yield "T_world_cam is not a rigid motion"
    width, height = view.size_px
    centre = np.array([view.K_px[0, 2], view.K_px[1, 2]])
    if not (view.K_px[0, 0] > 0 and view.K_px[1, 1] > 0 and (centre >= 0).all() and (centre <= [width, height]).all()):
        yield f"K_px is not a camera for a {width} x {height} image"


def _image_problems(depth_m: np.ndarray, instance_id: np.ndarray, normal_cam: np.ndarray) -> Iterator[str]:
    hit = instance_id != BACKGROUND_ID
    if (np.isfinite(depth_m) != hit).any():
        count = int((np.isfinite(depth_m) != hit).sum())
        yield f"{count} pixels have an id without depth, or depth without an id"
    if (depth_m[np.isfinite(depth_m)] <= 0).any():
        yield "depth is not positive"
    has_normal = np.isfinite(normal_cam).all(axis=-1)
    if (has_normal != hit).any():
        yield f"{int((has_normal != hit).sum())} pixels have an id without a normal, or a normal without an id"
    if (np.abs(np.linalg.norm(normal_cam[has_normal], axis=-1) - 1) > _NORMAL_TOLERANCE).any():
        yield "normals are not of unit length"


def _opaque_problems(view: View, scene: Scene) -> Iterator[str]:
    """The first opaque surface must not be nearer than the first surface."""
    depth_m, ids, normal_cam = view.depth_opaque_m, view.instance_id_opaque, view.normal_cam_opaque
    assert depth_m is not None and ids is not None and normal_cam is not None and view.depth_m is not None
    yield from _image_problems(depth_m, ids, normal_cam)
    strangers = set(np.unique(ids[ids >= FIRST_OBJECT_ID]).tolist()) - {o.instance_id for o in scene.objects}
    if strangers:
        yield f"the image shows instances {sorted(strangers)} that the scene does not have"
    nearer = view.depth_m - depth_m > _DEPTH_TOLERANCE_M  # False where either is NaN
    if nearer.any():
        yield f"{int(nearer.sum())} pixels are nearer than the first surface"
    if (np.isfinite(depth_m) & ~np.isfinite(view.depth_m)).any():
        yield "something is seen where the first surface is missing"


def _instance_problems(view: View, scene: Scene) -> Iterator[str]:
    assert view.instance_id is not None
    objects = {o.instance_id for o in scene.objects}
    seen, counts = np.unique(view.instance_id, return_counts=True)
    pixels = dict(zip(seen.tolist(), counts.tolist(), strict=True))
    strangers = {i for i in pixels if i >= FIRST_OBJECT_ID} - objects
    if strangers:
        yield f"the image shows instances {sorted(strangers)} that the scene does not have"
    if {f.instance_id for f in view.facts} != objects:
        yield "the view's objects are not the scene's objects"
    for facts in view.facts:
        yield from _facts_problems(facts, view.instance_id, pixels.get(facts.instance_id, 0))


def _facts_problems(facts: ObjectFacts, ids: np.ndarray, visible_px: int) -> Iterator[str]:
    who = f"instance {facts.instance_id}:"
    if facts.visible_px != visible_px:
        yield f"{who} visible_px is {facts.visible_px}, the image shows {visible_px}"
    if facts.amodal_px < facts.visible_px:
        yield f"{who} amodal_px {facts.amodal_px} is less than visible_px {facts.visible_px}"
    if not (0 <= facts.occlusion <= 1 and 0 <= facts.truncation <= 1):
        yield f"{who} occlusion {facts.occlusion} or truncation {facts.truncation} is not in [0, 1]"
    if (facts.mask_components > 0) != (visible_px > 0):
        yield f"{who} {facts.mask_components} mask components with {visible_px} pixels"
    if visible_px and facts.visible_box_px != _box_of(ids == facts.instance_id):
        yield f"{who} visible_box_px {facts.visible_box_px} is not the box of its mask"


def _box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _nearest_rotation(T: np.ndarray) -> np.ndarray:
    u, _, vt = np.linalg.svd(T[:3, :3])
    return u @ vt
