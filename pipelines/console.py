"""How a console script ends: the exit code, and an error that a user can act on as a line or two."""

from __future__ import annotations

import sys
from collections.abc import Callable

from pipelines.errors import EXIT_ERROR, EXIT_INTERRUPTED, PipelineError
from scenegen.contract.command.command_line import quiet_pipe

_OF_TRAIN = ("safetensors", "scipy", "torch", "trimesh")  # of the extra "train", which every command of this half needs


def run_command(program: str, run: Callable[[], int], interrupted: str = "interrupted") -> int:
    """The exit code of `run`. What a user can correct is said on standard error; other errors keep their traceback.

    interrupted: what is said after Ctrl-C. Raises SystemExit with 0 if the reader of the output leaves, as in `| head`.
    """
    try:
        with quiet_pipe():
            return run()
    except PipelineError as error:
        message, code = str(error), error.exit_code
    except OSError as error:  # files that are not there, full disks
        message, code = str(error), EXIT_ERROR
    except KeyboardInterrupt:
        message, code = interrupted, EXIT_INTERRUPTED
    except ModuleNotFoundError as error:
        if error.name not in _OF_TRAIN:
            raise
        message, code = f"{error.name} is not installed; pip install 'fixer3d[train]'", EXIT_ERROR
    except ValueError as error:
        from models.checkpoints import CheckpointError  # not above: it loads torch, which the help must not

        if not isinstance(error, CheckpointError):
            raise
        message, code = str(error), EXIT_ERROR
    sys.stderr.write(f"{program}: {message}\n")
    return code
