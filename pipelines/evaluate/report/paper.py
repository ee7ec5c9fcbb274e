"""The systems of the paper, and the figures that its supplement prints.

Published figures are of the authors' test set and models; they stand beside ours for orientation, never in one table.
The main paper's tables were not at hand.
"""

from __future__ import annotations

from dataclasses import dataclass

FIXER, OFFICIAL, GEN3DSR, MIDI = "fixer", "official", "gen3dsr", "midi"

SYSTEMS = {
    FIXER: "3D-Fixer, this project",
    OFFICIAL: "3D-Fixer, official outputs",
    GEN3DSR: "Gen3DSR",
    MIDI: "MIDI",
}
"""Option name to row, in the order of the tables. Each has a row, also when nothing of it was given."""


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
ALPHAS = tuple(one.alpha for one in DISTORTION)
