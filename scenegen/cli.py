"""The `scenegen` command: one subcommand a class, help from their docstrings."""

import os
import sys
from collections.abc import Sequence

from scenegen.commands import assets
from scenegen.commands.annotate import Annotate
from scenegen.commands.export import Export
from scenegen.commands.merge import Merge
from scenegen.commands.objects import Objects
from scenegen.commands.options import for_preset
from scenegen.commands.plan import Plan
from scenegen.commands.push import Push
from scenegen.commands.render import Render
from scenegen.commands.scene import Scene
from scenegen.commands.status import Status
from scenegen.commands.verify import Verify
from scenegen.commands.view import View
from scenegen.contract.command.command_line import CommandLine, Subcommands, quiet_pipe
from scenegen.errors import EXIT_ERROR, EXIT_INTERRUPTED, SceneGenError

_OF_RENDER = ("bpy", "coacd", "embreex", "fcl", "imageio", "psutil", "pybullet", "ray", "scipy", "trimesh")
_OF_DEPTH = ("safetensors", "torch", "transformers")
_EXTRA_OF = {**dict.fromkeys(_OF_RENDER, "render"), **dict.fromkeys(_OF_DEPTH, "depth")}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; errors that a user can act on are one or two lines, ours keep their traceback."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        with quiet_pipe():
            return command_line(arguments).parse(arguments).run()
    except SceneGenError as error:
        return _complain(str(error), error.exit_code)
    except (FileNotFoundError, PermissionError, NotADirectoryError) as error:
        return _complain(str(error), EXIT_ERROR)
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA_OF:
            raise
        return _complain(f"{error.name} is not installed; pip install 'fixer3d[{_EXTRA_OF[error.name]}]'", EXIT_ERROR)
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
    """What `scenegen` understands; commands that take a preset have the defaults of the one that the arguments name."""
    asset_commands = {
        "list": assets.List,
        "fetch": assets.Fetch,
        "prepare": assets.Prepare,
        "check": assets.Check,
        "notice": assets.Notice,
    }
    commands = {
        "plan": for_preset(Plan, arguments),
        "render": for_preset(Render, arguments),
        "objects": for_preset(Objects, arguments),
        "annotate": Annotate,
        "verify": Verify,
        "status": Status,
        "merge": Merge,
        "push": Push,
        "view": View,
        "export": Export,
        "scene": Scene,
        "assets": Subcommands("List, fetch, prepare and check assets.", asset_commands),
    }
    about = "Procedural scenes with exact ground truth, from an asset manifest to Parquet shards."
    return CommandLine("scenegen", Subcommands(about, commands))


def _complain(message: str, code: int) -> int:
    print(f"scenegen: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    script()
