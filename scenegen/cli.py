"""The `scenegen` command: one subcommand a class, help from their docstrings."""

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import tyro

from scenegen.commands import assets
from scenegen.commands.annotate import Annotate
from scenegen.commands.merge import Merge
from scenegen.commands.objects import Objects
from scenegen.commands.options import for_preset
from scenegen.commands.plan import Plan
from scenegen.commands.render import Render
from scenegen.commands.scene import Scene
from scenegen.commands.status import Status
from scenegen.commands.verify import Verify
from scenegen.commands.view import View
from scenegen.contract.command_line import CommandLine
from scenegen.errors import EXIT_DONE, EXIT_ERROR, EXIT_INTERRUPTED, SceneGenError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; errors that a user can act on are one or two lines, ours keep their traceback."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        return command_line(arguments).parse(arguments).run()
    except SceneGenError as error:
        return _complain(str(error), error.exit_code)
    except (FileNotFoundError, PermissionError, NotADirectoryError) as error:
        return _complain(str(error), EXIT_ERROR)
    except BrokenPipeError:  # the reader of our output has left, as in `| head`
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123
        return EXIT_DONE
    except KeyboardInterrupt:
        return _complain("interrupted; run the same command again to go on", EXIT_INTERRUPTED)


def script() -> None:
    """The console script: `main`, then leave without the interpreter's teardown if Blender is loaded."""
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    if "bpy" in sys.modules:
        os._exit(code)  # bpy may hang at interpreter exit after a render
    sys.exit(code)


def command_line(arguments: Sequence[str] = ()) -> CommandLine:
    """What `scenegen` understands, with the defaults of the preset that the arguments name."""
    about = "Procedural scenes with exact ground truth, from an asset manifest to Parquet shards."
    return CommandLine("scenegen", _commands(arguments), about)


def _commands(arguments: Sequence[str]) -> Any:
    """The subcommands; those that take a preset show its values as their defaults."""
    command = tyro.conf.subcommand
    asset_commands = (
        Annotated[assets.List, command("list")]
        | Annotated[assets.Fetch, command("fetch")]
        | Annotated[assets.Prepare, command("prepare")]
        | Annotated[assets.Check, command("check")]
        | Annotated[assets.Notice, command("notice")]
    )
    return (
        Annotated[Plan, command("plan", default=for_preset(Plan, arguments))]
        | Annotated[Render, command("render", default=for_preset(Render, arguments))]
        | Annotated[Objects, command("objects", default=for_preset(Objects, arguments))]
        | Annotated[Annotate, command("annotate")]
        | Annotated[Verify, command("verify")]
        | Annotated[Status, command("status")]
        | Annotated[Merge, command("merge")]
        | Annotated[View, command("view")]
        | Annotated[Scene, command("scene")]
        | Annotated[asset_commands, command("assets", description="List, fetch, prepare and check assets.")]
    )


def _complain(message: str, code: int) -> int:
    print(f"scenegen: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    script()
