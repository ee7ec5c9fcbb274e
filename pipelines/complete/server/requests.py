"""The request to complete a job, read from the JSON of the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pipelines.complete.inputs.camera_file import FORMS, camera_of
from pipelines.complete.instance_masks import IdImage
from pipelines.complete.server.jobs import Job
from pipelines.complete.server.limits import Limits, Refused
from pipelines.complete.view import Camera
from pipelines.errors import UsageError

NAMES = {  # of numbers, to people
    "fov_deg": "The field of view in degrees",
    "steps": "The number of steps",
    "alpha": "How much of the depth is estimated (alpha)",
    "seed": "The seed",
    "guidance": "The guidance",
}
HUGE = 1e300
DepthSource = Literal["given", "estimated"]


@dataclass(frozen=True)
class CompletionRequest:
    """instance_ids: those of the masks.

    depth: given (uploaded, or of the example) or estimated. camera: None for that of the estimator.
    steps, guidance: None for those of the checkpoint.
    """

    instance_ids: tuple[int, ...]
    depth: DepthSource
    camera: Camera | None
    depth_ratio: float
    seed: int
    steps: int | None
    guidance: float | None


def request_of(values: Any, job: Job, has_estimator: bool, limits: Limits) -> CompletionRequest:
    """Raises Refused for what is missing or invalid."""
    if not isinstance(values, dict):
        raise Refused(400, "The request must be a JSON object.")
    instance_ids = tuple(IdImage(job.load("ids"))) if job.has("ids") else ()
    if not instance_ids:
        raise Refused(400, "No pixel belongs to an object yet: draw or upload a mask.")
    depth: DepthSource = "estimated" if values.get("depth") == "estimated" else "given"
    if depth == "estimated" and not has_estimator:
        raise Refused(400, "This server has no depth estimator; upload a depth map.")
    if depth == "given" and not job.has("depth"):
        raise Refused(400, "The depth is missing: upload a depth map.")
    camera = _camera(values, job)
    if camera is None and depth == "given":
        raise Refused(400, "The camera is unknown: give its horizontal field of view.")
    steps = _number(values, "steps", 1, limits.steps)
    ratio = _number(values, "alpha", 0, 1)
    return CompletionRequest(
        instance_ids=instance_ids,
        depth=depth,
        camera=camera,
        depth_ratio=(0.0 if job.exact_depth else 1.0) if ratio is None else ratio,
        seed=int(_number(values, "seed", 0, 2**31 - 1) or 0),
        steps=None if steps is None else int(steps),
        guidance=_number(values, "guidance", 0, 100),
    )


def _camera(values: dict[str, Any], job: Job) -> Camera | None:
    fov_deg = _number(values, "fov_deg", 1, 179)
    given = values.get("camera") or ({"fov_x_deg": fov_deg} if fov_deg else job.camera)
    if given is None:
        return None
    try:
        return camera_of(given, job.size_px)
    except (ValueError, KeyError, TypeError, AttributeError, UsageError) as error:
        raise Refused(400, f"This is no camera; give one of {FORMS}") from error


def _number(values: dict[str, Any], name: str, low: float, high: float) -> float | None:
    value: Any = values.get(name)
    called = NAMES[name]
    if value is None:
        return None
    if type(value) not in (int, float) or not -HUGE < value < HUGE:  # not `isfinite`: an integer may have 400 digits
        raise Refused(400, f"{called} must be a number.")
    if not low <= value <= high:
        raise Refused(400, f"{called} must be from {low:g} to {high:g}, not {value:g}.")
    return float(value)
