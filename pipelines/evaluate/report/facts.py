"""What a reader must know to interpret the tables, as lines at the head of the report."""

from __future__ import annotations

from pipelines.evaluate.judging.rules import Rules
from pipelines.evaluate.metrics.scores import VOXEL
from pipelines.evaluate.records.options import (
    GROUND_TRUTH,
    Alignment,
    DepthChoice,
    EvaluationOptions,
    ObjectFrame,
    SystemOptions,
    TruthOptions,
)
from pipelines.evaluate.records.systems import GEN3DSR, MIDI
from pipelines.evaluate.systems.training_assets import TrainingAssets

FEW_SCENES = 10  # a percentile bootstrap of fewer groups is too narrow

ALIGNMENT_NOTES: dict[Alignment, str] = {
    "gt_affine": "estimated depth is put on the exact depth by scale and shift (RANSAC), as in the official scripts",
    "gt_scale": "estimated depth is put on the exact depth by its least-squares scale",
    "none": "estimated depth is used as it is: no truth reaches the system",
}

FRAME_NOTES: dict[ObjectFrame, str] = {
    "canonical": "objects are compared in the truth's canonical frame, longest side 1.9",
    "released": (
        "objects are compared as MIDI's script was released: each point is normalised by its own three coordinates. "
        "That destroys the shape (an affine copy of the truth scores 15 %); only for comparison with published tables"
    ),
    "per_axis": "objects are compared after each cloud's own min-max per axis to +-0.95 (place and size do not count)",
}


def facts(options: EvaluationOptions, rules: Rules, scenes: int, assets: TrainingAssets | None) -> list[str]:
    """One fact a line. scenes: how many were judged. assets: those that baselines know."""
    lines = [
        _selection(options.truth),
        _depth(options.depth),
        f"{rules.points} points an object, seed {options.seed}. Brackets: 95 % interval, bootstrap over {scenes} scenes"
        + ("." if scenes >= FEW_SCENES else ", which are too few to trust it."),
    ]
    if rules.frame is not None:
        lines.append(
            f"CD-O, F-O (threshold 0.1), IoU-V and NC: {FRAME_NOTES[rules.frame]}. IoU-V: voxels of {VOXEL:g}. "
            "IoU-B: axis-aligned boxes in the world. NC: mean |cosine| of neighbours' normals."
        )
    lines.append(
        "CD-S, F-S: all judged objects of a view together, world units"
        + (", cut to what the image frame can show." if rules.clip else ".")
    )
    lines.append(
        "Penalty of a missing prediction: 0 for every score; for the Chamfer distance the diagonal of the truth's box."
    )
    if assets is not None:
        lines.append(
            f"nearest asset, mean shape: know the {len(assets)} training assets of {assets.objects.root.location}; "
            "where one of these is judged, the nearest asset may be the true one."
        )
    return lines + _placement(options.systems)


def _selection(truth: TruthOptions) -> str:
    if truth.test_set not in ("own", "arsg"):
        return f"Test set: {truth.test_set}, judged by its own rule of selection."
    selection = f"the {truth.largest} largest instances" if truth.largest else "all instances"
    return f"Test set: {truth.test_set}; judged are {selection} of a view that cover {truth.min_ratio:.2%} of it."


def _depth(depth: DepthChoice) -> str:
    note = "" if depth.source == GROUND_TRUTH else f" Here {ALIGNMENT_NOTES[depth.alignment]}."
    return f"Depth given to systems that run now: {depth}.{note}"


def _placement(systems: SystemOptions) -> list[str]:
    placed = [one.partition("=")[0] for one in systems.predictions if one.startswith((f"{MIDI}=", f"{GEN3DSR}="))]
    if not placed:
        return []
    moved = "as a whole moved by a similarity onto the visible points of the depth above"
    return [f"{', '.join(placed)}: {moved if systems.placement == 'similarity' else 'taken in place'}."]
