"""Files of an image → what the pipeline is shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipelines.complete.compute_device import ComputeDevice
from pipelines.complete.inputs.camera_file import FORMS, read_camera
from pipelines.complete.inputs.depth_file import DepthMap, planar, read_depth
from pipelines.complete.inputs.depth_units import UNITS, UnknownUnit
from pipelines.complete.inputs.estimators import (
    MOGE2,
    LoadedEstimator,
    LoadEstimator,
    choose_estimator,
    find_weights,
)
from pipelines.complete.inputs.mask_files.components import connected_components
from pipelines.complete.inputs.masks import MaskFile, read_masks
from pipelines.complete.inputs.pictures import fov_x_of_exif, read_image
from pipelines.complete.inputs.scene_inputs import SceneInputs
from pipelines.complete.instance_masks import IdImage
from pipelines.complete.view import Camera
from pipelines.errors import UsageError

LISTED = 5  # sizes in a sentence
_Load = Callable[[str, Path | None], LoadedEstimator]


@dataclass(frozen=True)
class FileRequest:
    """The files of one image, and how they are to be read.

    image: a picture. masks: a file or folder. depth: a file, or the name of an estimator.
    camera: a JSON file. fov_deg: the horizontal field of view, instead of a camera.
    depth_unit_m: metres of a value of 1 in the depth file; None to decide it from the values.
    depth_along_ray: the depth file holds distances from the camera, not depth along its axis.
    split_components: each connected component of a single mask is an object of its own.
    depth_weights: weights of the estimator, a file or folder.
    moge2_weights: weights of MoGe-2, which also estimates a focal length.
    """

    image: Path
    masks: Path
    depth: str
    camera: Path | None
    fov_deg: float | None
    depth_unit_m: float | None
    depth_along_ray: bool
    split_components: bool
    depth_weights: Path | None
    moge2_weights: Path | None

    @property
    def has_depth_file(self) -> bool:
        """What has a suffix, or exists, is a file; every other word is the name of an estimator."""
        return bool(Path(self.depth).suffix) or Path(self.depth).exists()

    def weights_of(self, estimator: str) -> Path | None:
        """The weights that the user named, if any."""
        return self.depth_weights or (self.moge2_weights if estimator == MOGE2 else None)


def read_files(request: FileRequest, compute: ComputeDevice, load: LoadEstimator = LoadedEstimator.load) -> SceneInputs:
    """load: of estimators. Raises UsageError or PipelineError for what is missing or does not fit together."""
    rgb_HW3 = read_image(request.image)
    size_px = rgb_HW3.shape[1], rgb_HW3.shape[0]
    camera = _given_camera(request, size_px)
    masks = _given_masks(request, size_px)
    read = _depth_file if request.has_depth_file else _estimated_depth
    depth = read(request, rgb_HW3, camera, lambda name, weights: load(name, weights, compute))
    assumed = (*masks.assumed, *depth.assumed)
    described = {
        "image": str(request.image),
        "masks": str(request.masks),
        "depth": request.depth,
        "depth_is_metric": depth.is_metric,
        "camera": str(request.camera or request.fov_deg or depth.camera_from),
        "assumed": [*assumed],
    }
    return SceneInputs(
        rgb_HW3, masks.by_id, depth.depth_HW, depth.camera, exact_depth=False, described=described, assumed=assumed
    )


def check_files(request: FileRequest) -> Mapping[int, np.ndarray]:
    """Read everything that needs no network, and see whether the weights of those that are needed are there.

    Returns the masks by id. Raises UsageError or PipelineError as `read_files` would.
    """
    rgb_HW3 = read_image(request.image)
    size_px = rgb_HW3.shape[1], rgb_HW3.shape[0]
    camera = _given_camera(request, size_px)
    masks = _given_masks(request, size_px)
    if not request.has_depth_file:
        find_weights(choose_estimator(request.depth), request.weights_of(request.depth))
    else:
        _given_depth(request, size_px)
        if camera is None and request.moge2_weights is None:
            raise _unknown_camera(request)
    return masks.by_id


@dataclass(frozen=True)
class _Depth:
    """depth_HW: planar. camera: the given one, or an estimated one. camera_from: the estimator that found the camera.

    assumed: what was assumed about the depth, sentences.
    """

    depth_HW: np.ndarray
    camera: Camera
    is_metric: bool
    camera_from: str = ""
    assumed: tuple[str, ...] = ()


def _depth_file(request: FileRequest, rgb_HW3: np.ndarray, camera: Camera | None, load: _Load) -> _Depth:
    given = _given_depth(request, (rgb_HW3.shape[1], rgb_HW3.shape[0]))
    camera_from = ""
    if camera is None and request.moge2_weights is not None:
        camera = load(MOGE2, request.moge2_weights)(rgb_HW3, None).camera
        camera_from = MOGE2
    if camera is None:
        raise _unknown_camera(request)
    depth_HW = planar(given.depth_HW, camera.K_px) if request.depth_along_ray else given.depth_HW
    return _Depth(depth_HW, camera, True, camera_from, (given.assumed,) if given.assumed else ())


def _unknown_camera(request: FileRequest) -> UsageError:
    noted = fov_x_of_exif(request.image)
    hint = f" ({noted:.1f} by the picture's EXIF, unless it was cropped)" if noted else ""
    return UsageError(
        f"the camera is unknown: give --fov-deg{hint}, --encoder-weights moge2=FILE to estimate it, or "
        f"--camera FILE with {FORMS}"
    )


def _estimated_depth(request: FileRequest, rgb_HW3: np.ndarray, camera: Camera | None, load: _Load) -> _Depth:
    estimator = load(request.depth, request.weights_of(request.depth))
    estimated = estimator(rgb_HW3, camera)
    return _Depth(estimated.depth_HW, estimated.camera, estimator.facts.metric, camera_from=request.depth)


def _given_masks(request: FileRequest, size_px: tuple[int, int]) -> MaskFile:
    """A single mask of several components is split into them, or they are mentioned. Raises UsageError."""
    given = read_masks(request.masks, size_px, request.image.name)
    if len(given.by_id) != 1:
        if request.split_components:
            raise UsageError(
                f"--split-components is for one mask of several objects; {request.masks} has {len(given.by_id)} masks"
            )
        return given
    [(instance_id, mask_HW)] = given.by_id.items()
    parts_HW, sizes = connected_components(mask_HW)
    listed = ", ".join(str(size) for size in sizes[:LISTED]) + (", ..." if len(sizes) > LISTED else "")
    parts = f"{len(sizes)} parts that do not touch, of {listed} px"
    if request.split_components:
        said = f"{request.masks} is split into {parts}; their ids are 1 to {len(sizes)}, the largest first"
        return MaskFile(IdImage(parts_HW), (*given.assumed, said))
    if len(sizes) < 2:
        return given
    said = f"{request.masks} is taken as one object, {instance_id}, in {parts}"
    return replace(given, assumed=(*given.assumed, f"{said}; if they are several, give --split-components"))


def _given_depth(request: FileRequest, size_px: tuple[int, int]) -> DepthMap:
    try:
        given = read_depth(Path(request.depth), size_px, request.depth_unit_m)
    except UnknownUnit as error:
        raise UsageError(f"{request.depth}: {error}, say its unit: --depth-unit-m ({UNITS})") from error
    assumed = given.assumed and f"{request.depth}: {given.assumed}; if that is wrong, give --depth-unit-m ({UNITS})"
    return replace(given, assumed=assumed)


def _given_camera(request: FileRequest, size_px: tuple[int, int]) -> Camera | None:
    if request.camera is not None and request.fov_deg is not None:
        raise UsageError("give --camera or --fov-deg, not both")
    if request.fov_deg is not None:
        return Camera.from_fov(float(np.radians(request.fov_deg)), size_px)
    return None if request.camera is None else read_camera(request.camera, size_px)
