"""What must be true of every row of the objects tables. Each check yields sentences about problems, if any."""

from collections.abc import Iterator

import numpy as np

from scenegen.contract.objects import GRID, VIEW_KINDS, ObjectGeometry, ObjectLatents, ObjectView, VoxelFeatures
from scenegen.contract.points import points_of_pixels
from scenegen.contract.voxels import surface_voxels

_LENGTH_TOLERANCE = 1e-3  # canonical lengths
_ROTATION_TOLERANCE = 1e-4
_DEPTH_TOLERANCE = 5e-3  # canonical lengths: depth is quantised, and a pixel has a width
_ROTATED_VOXELS_MAY_DIFFER = 0.01  # rounding moves a vertex that lies on the border of two voxels


def geometry_problems(geometry: ObjectGeometry) -> Iterator[str]:
    """Problems of a row of the objects table."""
    if geometry.status not in ("ok", "failed"):
        yield f"status is {geometry.status!r}"
    failed = geometry.status == "failed"
    if failed != bool(geometry.failure):
        yield f"status {geometry.status} with failure {geometry.failure!r}"
    sizes = (len(geometry.vertices), len(geometry.faces), len(geometry.voxels))
    if failed and any(sizes):
        yield f"failed, but holds {sizes} vertices, faces and voxels"
    if failed:
        return
    if not all(sizes):
        yield f"holds {sizes} vertices, faces and voxels"
        return
    if not np.isfinite(geometry.vertices).all():
        yield "has vertices that are not finite"
        return
    if geometry.faces.min() < 0 or geometry.faces.max() >= len(geometry.vertices):
        yield f"has faces that name vertices outside 0..{len(geometry.vertices) - 1}"
        return
    low, high = geometry.vertices.min(axis=0), geometry.vertices.max(axis=0)
    if np.abs(low + high).max() > _LENGTH_TOLERANCE or abs((high - low).max() - 1) > _LENGTH_TOLERANCE:
        yield f"its mesh spans {low} to {high}: not centred with longest side 1"
    elif not np.array_equal(geometry.voxels, surface_voxels(geometry.vertices, geometry.faces)):
        yield "its voxels are not those that its mesh touches"


def object_view_problems(view: ObjectView) -> Iterator[str]:
    """Problems of a decoded row of the views table by itself (all images must be read)."""
    if view.kind not in VIEW_KINDS:
        yield f"its kind is {view.kind!r}"
    width, height = view.size_px
    if view.rgba is None or view.rgba.shape != (height, width, 4):
        yield f"rgba has shape {None if view.rgba is None else view.rgba.shape} instead of {(height, width, 4)}"
        return
    yield from _camera_problems(view)
    if view.crop is not None and view.crop.shape[0] != view.crop.shape[1]:
        yield f"its crop has shape {view.crop.shape}, which is not square"
    if view.depth is not None:
        yield from _depth_problems(view, view.depth, view.rgba[..., 3])


def feature_problems(features: VoxelFeatures, geometry: ObjectGeometry, num_views: int) -> Iterator[str]:
    """Problems of a row of a features table. num_views: how many feature views the asset has."""
    count = len(geometry.voxels)
    if len(features.feats) != count or features.views_seen.shape != (count,):
        yield f"holds {len(features.feats)} rows of features for {count} voxels"
        return
    if not np.isfinite(features.feats).all():
        yield "holds features that are not finite"
    if features.views_seen.max(initial=0) > num_views:
        yield f"says that a voxel is seen by {features.views_seen.max()} of {num_views} views"
    if not features.views_seen.any():
        yield "says that no view sees any voxel"


def latent_problems(latents: ObjectLatents, geometry: ObjectGeometry) -> Iterator[str]:
    """Problems of a row of a latents table."""
    linear = latents.T_rot_obj[:3, :3]
    scale = np.cbrt(np.linalg.det(linear))
    if not scale > 0 or not np.allclose(linear @ linear.T, scale**2 * np.eye(3), atol=_ROTATION_TOLERANCE):
        yield "T_rot_obj is not a rotation with a uniform scale and a shift"
        return
    if latents.rotation_index == 0 and not np.allclose(latents.T_rot_obj, np.eye(4), atol=_ROTATION_TOLERANCE):
        yield "rotation 0 is not the canonical pose"
    turned = geometry.vertices @ linear.T + latents.T_rot_obj[:3, 3]
    if np.abs(turned).max() > 0.5 + _LENGTH_TOLERANCE:
        yield f"the turned mesh reaches {np.abs(turned).max():.3f}, beyond the unit cube"
    wanted, found = _codes(surface_voxels(turned, geometry.faces)), _codes(latents.coords)
    differing = len(np.setxor1d(wanted, found))
    if differing > max(1, _ROTATED_VOXELS_MAY_DIFFER * len(wanted)):
        yield f"{differing} of its {len(found)} voxels are not those that the turned mesh touches"
    for name in ("slat", "structure"):
        values = getattr(latents, name)
        if values is not None and not np.isfinite(values).all():
            yield f"{name} is not finite"
    if latents.slat is None and latents.structure is None:
        yield "holds no latent"


def _camera_problems(view: ObjectView) -> Iterator[str]:
    rotation = view.T_obj_cam[:3, :3]
    if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-6) or np.linalg.det(rotation) < 0:
        yield "T_obj_cam is not a rigid motion"
    width, height = view.size_px
    centre = np.array([view.K_px[0, 2], view.K_px[1, 2]])
    if not (view.K_px[0, 0] > 0 and view.K_px[1, 1] > 0 and (centre >= 0).all() and (centre <= [width, height]).all()):
        yield f"K_px is not a camera for a {width} x {height} image"


def _depth_problems(view: ObjectView, depth: np.ndarray, alpha: np.ndarray) -> Iterator[str]:
    """Depth must put the surface into the unit cube, and the image must not be empty."""
    if depth.shape != alpha.shape:
        yield f"depth has shape {depth.shape} instead of {alpha.shape}"
        return
    rows, columns = np.nonzero(np.isfinite(depth))
    if not len(rows):
        return
    z = depth[rows, columns]
    if z.min() <= 0:
        yield "depth is not positive"
        return
    points = points_of_pixels(rows, columns, z, view.K_px, view.T_obj_cam)
    if np.abs(points).max() > 0.5 + _DEPTH_TOLERANCE:
        yield f"depth puts points at {np.abs(points).max():.3f}, outside the unit cube"
    if not alpha.any():
        yield "has depth, but its image is empty"


def _codes(coords: np.ndarray) -> np.ndarray:
    return coords.astype(np.int64) @ np.array([GRID * GRID, GRID, 1])
