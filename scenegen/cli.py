"""The `scenegen` command: one subcommand a class, help from their docstrings."""

import sys
from collections.abc import Sequence
from typing import Annotated

import tyro

from scenegen.assets import commands as assets
from scenegen.errors import EXIT_ERROR, EXIT_INTERRUPTED, SceneGenError
from scenegen.jobs import commands as jobs
from scenegen.jobs.scene_command import SceneCommand
from scenegen.view.commands import ViewCommand

AssetsCommand = (
    Annotated[assets.List, tyro.conf.subcommand("list")]
    | Annotated[assets.Fetch, tyro.conf.subcommand("fetch")]
    | Annotated[assets.Prepare, tyro.conf.subcommand("prepare")]
    | Annotated[assets.Check, tyro.conf.subcommand("check")]
    | Annotated[assets.Notice, tyro.conf.subcommand("notice")]
)

Command = (
    Annotated[jobs.Plan, tyro.conf.subcommand("plan")]
    | Annotated[jobs.Render, tyro.conf.subcommand("render")]
    | Annotated[jobs.Verify, tyro.conf.subcommand("verify")]
    | Annotated[jobs.Status, tyro.conf.subcommand("status")]
    | Annotated[jobs.Merge, tyro.conf.subcommand("merge")]
    | Annotated[ViewCommand, tyro.conf.subcommand("view")]
    | Annotated[SceneCommand, tyro.conf.subcommand("scene")]
    | Annotated[AssetsCommand, tyro.conf.subcommand("assets")]
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; errors that a user can act on are one or two lines, ours keep their traceback."""
    command = tyro.cli(Command, prog="scenegen", description=__doc__, args=arguments)
    try:
        return command.run()
    except SceneGenError as error:
        return _complain(str(error), error.exit_code)
    except (FileNotFoundError, PermissionError, NotADirectoryError) as error:
        return _complain(str(error), EXIT_ERROR)
    except KeyboardInterrupt:
        return _complain("interrupted; run the same command again to go on", EXIT_INTERRUPTED)


def _complain(message: str, code: int) -> int:
    print(f"scenegen: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
