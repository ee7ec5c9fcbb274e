"""The figures that the paper's supplement prints.

They are of the authors' test set and models; they stand beside ours for orientation, never in one table. The tables of
the main paper were not at hand.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PublishedDistortion:
    """Supplement, table 1a: object level, F-score in percent."""

    alpha: float
    chamfer: float
    f_score: float
    box_iou: float


@dataclass(frozen=True, slots=True)
class PublishedRendering:
    """Supplement, table 1b: object level, on visible and on unseen views."""

    system: str
    fid_visible: float
    fid_unseen: float
    clip_visible: float
    clip_unseen: float


DISTORTION = (
    PublishedDistortion(0.2, 0.185, 60.55, 0.547),
    PublishedDistortion(0.6, 0.188, 58.95, 0.528),
    PublishedDistortion(1.0, 0.197, 57.85, 0.519),
)
RENDERING = (
    PublishedRendering("Gen3DSR", 102.72, 119.22, 80.70, 77.71),
    PublishedRendering("3D-Fixer", 43.52, 46.25, 89.82, 88.51),
)
