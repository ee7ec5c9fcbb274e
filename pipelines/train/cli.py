"""The `train-fixer` command."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from pipelines.errors import EXIT_DONE, EXIT_ERROR, EXIT_INTERRUPTED, Interrupted, PipelineError
from pipelines.train.settings.config import TrainConfig
from scenegen.contract.command.command_line import CommandLine

COMMAND_LINE = CommandLine("train-fixer", TrainConfig)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train; errors that a user can act on are a few lines, ours keep their traceback."""
    try:
        given = sys.argv[1:] if arguments is None else arguments
        return _train(COMMAND_LINE.parse(given), given)
    except PipelineError as error:
        return _complain(error)
    except KeyboardInterrupt:
        return _say("interrupted; the same command goes on from the newest checkpoint", EXIT_INTERRUPTED)


def script() -> None:
    """The console script.

    Leaves without the interpreter's own exit: after training on a GPU that was once seen not to end.
    """
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _train(config: TrainConfig, arguments: Sequence[str]) -> int:
    try:
        import torch  # noqa: F401
    except ImportError:
        return _say("PyTorch is not installed; pip install 'fixer3d[train]'", EXIT_ERROR)
    from pipelines.train.outputs.invocations import typed_command
    from pipelines.train.run import run  # PyTorch takes seconds to import, and --help does not need it

    run(config, typed_command(arguments, os.environ))
    return EXIT_DONE


def _complain(error: PipelineError) -> int:
    """On every rank, since one alone may have failed; but only the first says it at length."""
    rank = os.environ.get("RANK", "0")
    if rank == "0":
        return _say(str(error), error.exit_code)
    if isinstance(error, Interrupted):
        return error.exit_code
    return _say(f"rank {rank}: {str(error).splitlines()[0]}", error.exit_code)


def _say(message: str, code: int) -> int:
    sys.stderr.write(f"train-fixer: {message}\n")
    return code


if __name__ == "__main__":
    script()
