"""What both halves log alike into a recording of Rerun: cameras, names of ids, depth and points.

The package (extra `rerun`) is imported at its first use. Its conventions are ours where they meet: in its pinholes and
images the centre of the first pixel is (0.5, 0.5), too, so that K needs no change.

Shapes: H W image, P points.
"""

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from scenegen.contract.points import points_of_pixels

if TYPE_CHECKING:
    from rerun import RecordingStream

_POINTS_OF_A_VIEW = 200_000
_FOOTPRINT = 0.6  # radius of a point in distances to its neighbours: the surface has no holes


def log_world(recording: "RecordingStream", names: Mapping[int, tuple[str, tuple[int, int, int]]]) -> None:
    """The world's axes (z up), and what ids in images mean. names: by id, its name and colour (sRGB)."""
    import rerun as rr

    recording.log("world", rr.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)
    recording.log("/", rr.AnnotationContext(_annotations(names)), static=True)


def _annotations(names: Mapping[int, tuple[str, tuple[int, int, int]]]) -> pa.Array:
    """In Arrow: rr.AnnotationInfo of 0.23.1, the last version for NumPy 1, which bpy needs, wants NumPy 2."""
    import rerun as rr

    def element(number: int, label: str, red: int, green: int, blue: int) -> dict[str, Any]:
        info = {"id": number, "label": label, "color": red << 24 | green << 16 | blue << 8 | 255}
        described = {"info": info, "keypoint_annotations": [], "keypoint_connections": []}
        return {"class_id": number, "class_description": described}

    elements = [element(number, label, *colour) for number, (label, colour) in names.items()]
    return pa.array([elements], rr.components.AnnotationContextBatch([]).as_arrow_array().type)


def log_camera(
    recording: "RecordingStream",
    place: str,
    K_px: np.ndarray,
    T_world_cam: np.ndarray,
    size_px: tuple[int, int],
    image_plane_m: float = 0.5,
    static: bool = False,
) -> None:
    """A pinhole with its pose. place: its entity; images logged below it are seen by it.

    T_world_cam: OpenCV axes. image_plane_m: how far from the camera its image is drawn. static: at all times.
    """
    import rerun as rr

    recording.log(
        place,
        rr.Transform3D(mat3x3=T_world_cam[:3, :3], translation=T_world_cam[:3, 3]),
        rr.Pinhole(
            image_from_camera=K_px,
            resolution=size_px,
            camera_xyz=rr.ViewCoordinates.RDF,
            image_plane_distance=image_plane_m,
        ),
        static=static,
    )


def log_placed(recording: "RecordingStream", place: str, T_world_obj: np.ndarray, static: bool = False) -> None:
    """Puts what is logged at an entity and below it where T_world_obj says: rotation and scale, then translation.

    static: at all times.
    """
    import rerun as rr

    transform = rr.Transform3D(mat3x3=T_world_obj[:3, :3], translation=T_world_obj[:3, 3])
    recording.log(place, transform, static=static)


def log_depth(
    recording: "RecordingStream", place: str, depth_HW: np.ndarray, span_m: tuple[float, float], static: bool = False
) -> None:
    """An image of planar depth. depth_HW: metres, NaN where unknown, which is 0 in Rerun. span_m: of its colours."""
    import rerun as rr

    depth = np.nan_to_num(depth_HW.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    recording.log(place, rr.DepthImage(depth, meter=1.0, depth_range=span_m, colormap="turbo"), static=static)


def log_points(
    recording: "RecordingStream",
    place: str,
    depth_HW: np.ndarray,
    rgb_HW3: np.ndarray,
    K_px: np.ndarray,
    T_world_cam: np.ndarray,
    static: bool = False,
) -> None:
    """What a view shows, as coloured points in the world: of every pixel with depth, or of a regular part of them.

    Rerun draws depth images in 3D, too, but without their colours, and half a pixel from where its own images are.
    """
    import rerun as rr

    points, colours, radii = world_points(depth_HW, rgb_HW3, K_px, T_world_cam)
    recording.log(place, rr.Points3D(points, colors=colours, radii=radii), static=static)


def world_points(
    depth_HW: np.ndarray, rgb_HW3: np.ndarray, K_px: np.ndarray, T_world_cam: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(P, 3) float32 positions in the world, (P, 3) uint8 colours and (P,) float32 radii in metres."""
    height, width = depth_HW.shape
    step = int(np.ceil(np.sqrt(height * width / _POINTS_OF_A_VIEW)))
    rows, columns = np.mgrid[step // 2 : height : step, step // 2 : width : step]
    depth = depth_HW[rows, columns].astype(np.float64)
    known = np.isfinite(depth) & (depth > 0)
    rows, columns, depth = rows[known], columns[known], depth[known]
    points = points_of_pixels(rows, columns, depth, K_px, T_world_cam)
    radii = _FOOTPRINT * step * depth / K_px[0, 0]
    return points.astype(np.float32), rgb_HW3[rows, columns], radii.astype(np.float32)


@contextlib.contextmanager
def at(recording: "RecordingStream", timeline: str, number: int) -> Iterator[None]:
    """What is logged in this context stands at this place of the timeline."""
    recording.set_time(timeline, sequence=number)
    try:
        yield
    finally:
        recording.reset_time()
