"""Facts about each object in a rendered view: visible and amodal pixels, boxes, truncation, mask components."""

import numpy as np
from scipy import ndimage

from scenegen.contract.records import BACKGROUND_ID, FIRST_OBJECT_ID, ObjectFacts
from scenegen.layout.raycast import pixel_centres
from scenegen.layout.spec import CameraSpec, PlacedObject, SceneSpec
from scenegen.layout.visibility import SceneCaster

EIGHT_CONNECTED = np.ones((3, 3), dtype=bool)
OUTSIDE_REACH = 2.0
"""How far beyond the frame silhouettes are followed, in frame widths: about 80 degrees off axis at a fov of 70."""
OUTSIDE_CELLS = 4096
"""The number of rays for the part of a silhouette outside the frame."""
NEAR_M = 1e-3

Box = tuple[int, int, int, int]
EMPTY_BOX: Box = (0, 0, 0, 0)


def object_facts(
    spec: SceneSpec,
    view_index: int,
    instance_id_map: np.ndarray,
    caster: SceneCaster,
    through_glass: bool = False,
) -> tuple[ObjectFacts, ...]:
    """Facts for every object of the scene in one view, in the order of `spec.objects`.

    instance_id_map: (H, W) integer ids as rendered at the camera's full size.
    Amodal pixels are the visible ones, and those where a ray through the pixel centre meets the object behind another
    object. Floor and walls hide nothing: cameras are above the floor, and see walls only from inside.
    through_glass: the map shows the first opaque surface, so that clear parts of an object count as amodal only,
    whatever is visible through them. A completely clear object then has no visible pixel and occlusion 1.
    An object that is not in the frame has occlusion 0 and truncation 1.
    Raises ValueError if the map's shape is not the camera's.
    """
    camera = spec.views[view_index].camera
    if instance_id_map.shape != camera.size_px[::-1]:
        raise ValueError(f"the id map is {instance_id_map.shape}, the camera's image {camera.size_px[::-1]} (H, W)")
    ids = np.ascontiguousarray(instance_id_map, dtype=np.int32)
    windows = dict(enumerate(ndimage.find_objects(ids), 1))
    # The lowest id that may be shown where an object is hidden, or where only clear parts of it are.
    lowest = BACKGROUND_ID if through_glass else FIRST_OBJECT_ID
    return tuple(
        _facts(placed, camera, ids, windows.get(placed.instance_id), caster, lowest) for placed in spec.objects
    )


def _facts(
    placed: PlacedObject,
    camera: CameraSpec,
    ids: np.ndarray,
    window: tuple[slice, slice] | None,
    caster: SceneCaster,
    lowest_id: int,
) -> ObjectFacts:
    visible_px, components, visible_box = 0, 0, EMPTY_BOX
    if window is not None:
        mask = ids[window] == placed.instance_id
        visible_px = int(mask.sum())
        components = int(ndimage.label(mask, structure=EIGHT_CONNECTED)[1])
        visible_box = (window[1].start, window[0].start, window[1].stop, window[0].stop)
    reach = _reach(caster.world_vertices(placed), camera)
    hidden_px, hidden_box = _hidden(placed.instance_id, camera, ids, reach, caster, lowest_id)
    amodal_px = visible_px + hidden_px
    outside_px = _outside(placed.instance_id, camera, reach, caster)
    if amodal_px:
        truncation = outside_px / (outside_px + amodal_px)
    else:  # an object without pixels, but in front of the camera and within the frame, is only too small
        truncation = 0.0 if reach is not None and _is_within(reach, camera) else 1.0
    return ObjectFacts(
        instance_id=placed.instance_id,
        visible_px=visible_px,
        amodal_px=amodal_px,
        occlusion=1.0 - visible_px / amodal_px if amodal_px else 0.0,
        truncation=truncation,
        mask_components=components,
        visible_box_px=visible_box,
        amodal_box_px=_union(visible_box, hidden_box),
    )


def _reach(vertices: np.ndarray, camera: CameraSpec) -> tuple[float, float, float, float] | None:
    """Box (x0, y0, x1, y1) in pixels around the object's projection, clipped at `OUTSIDE_REACH`.

    None if the object is behind the camera.
    """
    T, K = camera.matrix_world, camera.K_px
    points = (vertices - T[:3, 3]) @ T[:3, :3]
    front = points[:, 2] > NEAR_M
    if not front.any():
        return None
    size = np.array(camera.size_px)
    low, high = -OUTSIDE_REACH * size, (1.0 + OUTSIDE_REACH) * size
    if front.all():
        xy = points[:, :2] / points[:, 2:] * K[0, 0] + K[:2, 2]
        low, high = np.maximum(low, xy.min(axis=0)), np.minimum(high, xy.max(axis=0))
    # An object that extends behind the camera may appear anywhere; the rays will find it.
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _is_within(reach: tuple[float, float, float, float], camera: CameraSpec) -> bool:
    return reach[0] >= 0.0 and reach[1] >= 0.0 and reach[2] <= camera.size_px[0] and reach[3] <= camera.size_px[1]


def _hidden(
    instance_id: int,
    camera: CameraSpec,
    ids: np.ndarray,
    reach: tuple[float, float, float, float] | None,
    caster: SceneCaster,
    lowest_id: int,
) -> tuple[int, Box]:
    """The number of pixels where the object is hit but another id >= `lowest_id` is visible, and their box."""
    if reach is None:
        return 0, EMPTY_BOX
    width, height = camera.size_px
    x0, y0 = max(0, int(np.floor(reach[0]))), max(0, int(np.floor(reach[1])))
    x1, y1 = min(width, int(np.ceil(reach[2]))), min(height, int(np.ceil(reach[3])))
    if x0 >= x1 or y0 >= y1:
        return 0, EMPTY_BOX
    window = ids[y0:y1, x0:x1]
    rows, columns = np.nonzero((window >= lowest_id) & (window != instance_id))
    pixels = np.stack([columns + x0, rows + y0], axis=1)
    hidden = pixels[caster.hits_alone(instance_id, camera, pixels + 0.5)]
    if not len(hidden):
        return 0, EMPTY_BOX
    (left, top), (right, bottom) = hidden.min(axis=0).tolist(), hidden.max(axis=0).tolist()
    return len(hidden), (left, top, right + 1, bottom + 1)


def _outside(
    instance_id: int, camera: CameraSpec, reach: tuple[float, float, float, float] | None, caster: SceneCaster
) -> float:
    """Area of the silhouette outside the frame, in pixels, on a grid that is coarser for larger objects."""
    if reach is None or _is_within(reach, camera):
        return 0.0
    extent = np.array([reach[2] - reach[0], reach[3] - reach[1]])
    step = max(1.0, float(np.sqrt(extent.prod() / OUTSIDE_CELLS)))
    cells = np.maximum(1, np.ceil(extent / step)).astype(int)
    points = pixel_centres((int(cells[0]), int(cells[1])), (step, step)) + reach[:2]
    outside = ((points < 0.0) | (points >= camera.size_px)).any(axis=1)
    return float(caster.hits_alone(instance_id, camera, points[outside]).sum() * step**2)


def _union(a: Box, b: Box) -> Box:
    if EMPTY_BOX in (a, b):
        return b if a == EMPTY_BOX else a
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])
