"""The console script `fixer-complete`: one scene, or many, or with --serve a web page. Its help loads no torch."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial

from pipelines.complete.command import CompleteCommand
from pipelines.complete.server.command import ServeCommand
from pipelines.console import run_command
from scenegen.contract.command.command_line import CommandLine

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
    return run_command(COMPLETE_LINE.program, partial(_run, command))


def _run(command: CompleteCommand | ServeCommand) -> int:
    if isinstance(command, CompleteCommand) and command.batch is not None:
        from pipelines.complete.batch.command import run_folder

        return run_folder(command, command.batch)
    return command.run()


def script() -> None:
    sys.exit(main())


if __name__ == "__main__":
    script()
