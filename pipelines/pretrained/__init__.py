"""The checkpoint that comes with this package: a small 3D-Fixer, trained by this project's own commands.

Completion takes it when no other is named. It is not the released 3D-Fixer: its title says what it is, and its
MODEL_CARD.md what it was trained on.
"""

from __future__ import annotations

import json
from pathlib import Path

from pipelines.errors import PipelineError

NAME = "compact"
FOLDER = Path(__file__).parent / NAME


def packaged_checkpoint() -> Path:
    """Its folder, in the official pipeline layout. Raises PipelineError if this installation came without it."""
    if not (FOLDER / "pipeline.json").is_file():
        raise PipelineError(
            f"no checkpoint was named, and the {NAME} model is not in this installation (there is no "
            f"{FOLDER / 'pipeline.json'}); name one with --checkpoint, or install fixer3d with its package data"
        )
    return FOLDER


def packaged_title() -> str:
    """What it calls itself, as everything that is made with it says. Raises PipelineError like the above."""
    return str(json.loads((packaged_checkpoint() / "pipeline.json").read_text())["args"]["title"])
