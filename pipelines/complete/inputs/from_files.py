"""What a command is given -> what the pipeline is shown: from files, or from a row of one of our datasets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.complete.compute_device import Computer
from pipelines.complete.inputs.camera_file import FORMS, read_camera
from pipelines.complete.inputs.depth_file import DepthMap, planar, read_depth
from pipelines.complete.inputs.depth_units import UNITS, UnknownUnit
from pipelines.complete.inputs.estimators import MOGE2, LoadedEstimator
from pipelines.complete.inputs.mask_files.components import parts_of
from pipelines.complete.inputs.masks import IdImage, LazyMasks, MaskFile, read_masks
from pipelines.complete.inputs.pictures import fov_x_of_exif, read_image
from pipelines.complete.view import Camera
from pipelines.errors import UsageError
from scenegen.contract.dataset import Dataset
from scenegen.contract.records import View

GROUND_TRUTH = "gt"
LISTED = 5  # sizes in a sentence


@dataclass(frozen=True)
class Inputs:
    """Everything the pipeline is shown. exact_depth: it is the truth, so that alpha is 0 unless said otherwise.

    described: where it came from, for the report. assumed: what was taken for granted of the files, in sentences.
    """

    rgb_HW3: np.ndarray
    masks: Mapping[int, np.ndarray]
    depth_HW: np.ndarray
    camera: Camera
    exact_depth: bool
    described: dict[str, Any]
    assumed: tuple[str, ...] = ()


@dataclass(frozen=True)
class FileRequest:
    """image: a picture. depth: a file, or an estimator. camera: a JSON file. fov_deg: horizontal, instead of a camera.

    depth_unit_m: metres a unit of the depth file; None to decide it. depth_along_ray: it holds distances, not depth.
    split_components: of a single mask, each part that touches no other is an object.
    depth_weights: of the estimator, a file or folder. moge2_weights: of MoGe-2, which also finds a focal length.
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

    def weights_of(self, estimator: str) -> Path | None:
        """What the user named, if anything."""
        return self.depth_weights or (self.moge2_weights if estimator == MOGE2 else None)


def from_files(request: FileRequest, computer: Computer) -> Inputs:
    """Raises UsageError or PipelineError for what is missing or does not fit."""
    rgb = read_image(request.image)
    size_px = rgb.shape[1], rgb.shape[0]
    camera = _given_camera(request, size_px)
    lens = str(request.camera or request.fov_deg or "")
    masks = _given_masks(request, size_px)
    assumed = list(masks.assumed)
    if _is_file(request.depth):
        given = _given_depth(request, size_px)
        depth, metric = given.depth_HW, True
        assumed += [given.assumed] if given.assumed else []
        if camera is None and request.moge2_weights is not None:
            camera = LoadedEstimator.load(MOGE2, request.moge2_weights, computer)(rgb, None).camera
            lens = MOGE2
    else:
        estimator = LoadedEstimator.load(request.depth, request.weights_of(request.depth), computer)
        estimated = estimator(rgb, camera)
        depth, camera, metric = estimated.depth_HW, estimated.camera, estimator.facts.metric
        lens = lens or request.depth
    if camera is None:
        noted = fov_x_of_exif(request.image)
        hint = f" ({noted:.1f} by the picture's EXIF, unless it was cropped)" if noted else ""
        raise UsageError(
            f"the camera is unknown: give --fov-deg{hint}, --encoder-weights moge2=FILE to estimate it, or "
            f"--camera FILE with {FORMS}"
        )
    if _is_file(request.depth) and request.depth_along_ray:
        depth = planar(depth, camera.K_px)
    described = {
        "image": str(request.image),
        "masks": str(request.masks),
        "depth": request.depth,
        "depth_is_metric": metric,
        "camera": lens,
    }
    described["assumed"] = assumed
    return Inputs(rgb, masks.by_id, depth, camera, exact_depth=False, described=described, assumed=tuple(assumed))


def from_row(data: str, number: int, estimator: str) -> Inputs:
    """A view of a dataset with its instances, its camera, and the exact depth ("gt") or an estimator's, aligned as a
    whole to the exact one."""
    dataset = Dataset.open(data)
    if not 0 <= number < len(dataset):
        raise UsageError(f"{data} has views 0 to {len(dataset) - 1}, not {number}")
    view = dataset.view(number, ["rgb", "instance_id"])
    depth = dataset.depth_estimate(number, estimator)
    assert view.rgb is not None  # it was asked for
    return Inputs(
        rgb_HW3=view.rgb,
        masks=_instances_of(view),
        depth_HW=np.where(depth.valid, depth.aligned_m, np.nan).astype(np.float32),
        camera=Camera(view.K_px, view.T_world_cam),
        exact_depth=estimator == GROUND_TRUTH,
        described={
            "shards": data,
            "view": number,
            "scene_index": view.scene_index,
            "view_index": view.view_index,
            "depth": estimator,
        },
    )


def _instances_of(view: View) -> Mapping[int, np.ndarray]:
    """The objects that the view shows; floor and walls are none."""
    assert view.instance_id is not None  # it was asked for
    ids = IdImage(view.instance_id)
    seen = [facts.instance_id for facts in view.facts if facts.visible_px]
    return LazyMasks({i: partial(ids.__getitem__, i) for i in seen})


def _given_masks(request: FileRequest, size_px: tuple[int, int]) -> MaskFile:
    """With a word on a single mask of several parts, or split into them. Raises UsageError."""
    given = read_masks(request.masks, size_px, request.image.name)
    if len(given.by_id) != 1:
        if request.split_components:
            raise UsageError(
                f"--split-components is for one mask of several objects; {request.masks} has {len(given.by_id)} masks"
            )
        return given
    [(instance_id, mask_HW)] = given.by_id.items()
    parts_HW, sizes = parts_of(mask_HW)
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


def _is_file(depth: str) -> bool:
    """What has a suffix or is there; the rest names an estimator."""
    return bool(Path(depth).suffix) or Path(depth).exists()
