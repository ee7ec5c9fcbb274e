"""`fixer-complete --batch`: wrong options and folders are said before PyTorch is loaded, which takes seconds."""

from __future__ import annotations

import sys
from pathlib import Path

from pipelines.complete.batch.folder import find_pictures
from pipelines.complete.batch.options import check_options
from pipelines.complete.command import CompleteCommand
from pipelines.complete.inputs.weights import checkpoint_or_packaged


def run_folder(command: CompleteCommand, folder: Path) -> int:
    """The exit code. Raises UsageError and PipelineError, and Interrupted when it is stopped; see `run_batch`."""
    check_options(command, folder)
    command.check_values()
    pictures = find_pictures(folder, masks_of_all=command.masks is not None)
    from pipelines.complete.batch.run import run_batch

    command.check_sampling()
    command.outputs().check_packages()
    return run_batch(command, pictures, checkpoint_or_packaged(command.checkpoint, sys.stderr), sys.stderr)
