"""The console script `fixer-complete`: one scene, or with --serve the web page. Its help loads no torch."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pipelines.complete.command import CompleteCommand
from pipelines.complete.server.command import ServeCommand
from pipelines.errors import EXIT_ERROR, EXIT_INTERRUPTED, PipelineError
from scenegen.contract.command_line import CommandLine, quiet_pipe

SERVE = "--serve"
COMPLETE_LINE = CommandLine("fixer-complete", CompleteCommand, switches=(SERVE,))
SERVE_LINE = CommandLine(f"fixer-complete {SERVE}", ServeCommand)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code. Errors that a user can act on are printed in a line or two; others keep their traceback."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    command: CompleteCommand | ServeCommand
    if SERVE in given:
        given.remove(SERVE)
        command = SERVE_LINE.parse(given)
    else:
        command = COMPLETE_LINE.parse(given)
    try:
        with quiet_pipe():
            return command.run()
    except PipelineError as error:
        return _complain(str(error), error.exit_code)
    except OSError as error:  # files that are not there, full disks
        return _complain(str(error), EXIT_ERROR)
    except KeyboardInterrupt:
        return _complain("interrupted", EXIT_INTERRUPTED)
    except ValueError as error:
        from models.checkpoints import CheckpointError  # not above: it loads torch, which the help must not

        if not isinstance(error, CheckpointError):
            raise
        return _complain(str(error), EXIT_ERROR)


def script() -> None:
    sys.exit(main())


def _complain(message: str, code: int) -> int:
    sys.stderr.write(f"fixer-complete: {message}\n")
    return code


if __name__ == "__main__":
    script()
