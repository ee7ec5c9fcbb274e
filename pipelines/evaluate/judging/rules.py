"""How each test set is judged."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.evaluate.metrics.sampling import OFFICIAL_POINTS
from pipelines.evaluate.records.options import ObjectFrame, TestSetName

GEN3DSR_POINTS = 1_000_000
GEN3DSR_THRESHOLDS = (0.1, 0.01, 0.001)


@dataclass(frozen=True, slots=True)
class Rules:
    """How a test set is judged.

    frame: where objects are compared; None judges whole scenes only. points: sampled from each object.
    scene_points: sampled from the whole scene; None takes the union of the objects' points.
    thresholds: of the scene's F-score, metres. clip: cut truth and prediction to the camera frustum.
    """

    frame: ObjectFrame | None = "canonical"
    points: int = OFFICIAL_POINTS
    scene_points: int | None = None
    thresholds: tuple[float, ...] = (0.1,)
    clip: bool = False


def rules_for(test_set: TestSetName, points: int, object_frame: ObjectFrame) -> Rules:
    """The rules of the released scripts. object_frame: of front3d only; every other test set fixes its own.

    ScanNet's were not released: its objects are compared in their bounding box, and scenes are clipped.
    """
    if test_set == "front3d":
        return Rules(object_frame, points)
    if test_set == "gen3dsr":
        return Rules(None, points, GEN3DSR_POINTS, GEN3DSR_THRESHOLDS, clip=True)
    return Rules("canonical", points, clip=test_set == "scannet")
