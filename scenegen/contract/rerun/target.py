"""Where a recording for the Rerun viewer goes: to a file, or to the viewer itself. Needs the extra `rerun`."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from scenegen.errors import SceneGenError, UsageError

if TYPE_CHECKING:
    from rerun import RecordingStream
    from rerun.blueprint import Blueprint

RerunOption = Annotated[tuple[()] | tuple[Path] | None, tyro.conf.arg(metavar="[FILE.rrd]")]
"""An option that is not given (None), given alone (the viewer), or given with a file to save."""

SUFFIX = ".rrd"
_ELSEWHERE = (
    "Save a file instead, --rerun scene.rrd, and open it where there is one: rerun scene.rrd; "
    "or look at it in a browser: rerun --web-viewer scene.rrd"
)


class ViewerFailed(SceneGenError):
    """The Rerun viewer is not there, or has ended with an error. Exit code 1."""


@dataclass(frozen=True)
class RerunTarget:
    """Where a recording goes. file: an .rrd file; None for the viewer."""

    file: Path | None

    @classmethod
    def of(cls, option: tuple[()] | tuple[Path] | None) -> "RerunTarget | None":
        """None if the option was not given."""
        return None if option is None else cls(*option or (None,))

    def check(self) -> None:
        """What can be found before the work. Raises UsageError."""
        if find_spec("rerun") is None:
            raise UsageError("--rerun needs rerun-sdk: pip install 'fixer3d[rerun]'")
        if self.file is None:
            if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
                raise UsageError(f"the Rerun viewer needs a display, and here is none. {_ELSEWHERE}")
        elif self.file.suffix.lower() != SUFFIX:
            raise UsageError(f"--rerun writes a recording of Rerun; call it {self.file.with_suffix(SUFFIX).name}")
        elif self.file.is_dir():
            raise UsageError(f"{self.file} is a folder; name a file to write")

    def write(self, name: str, blueprint: "Blueprint", log: Callable[["RecordingStream"], None]) -> None:
        """Save what `log` logs, whole or not at all; or show it in the viewer, until its window is closed.

        name: of the recording, for people. Raises ViewerFailed.
        """
        if self.file is not None:
            _save(self.file, name, blueprint, log)
            return
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"scene{SUFFIX}"
            _save(file, name, blueprint, log)
            # Bound to this machine: by default the viewer takes recordings from whoever reaches its port.
            done = subprocess.run([_viewer(), "--bind", "127.0.0.1", str(file)], check=False)
        if done.returncode:
            raise ViewerFailed(f"the Rerun viewer ended with exit code {done.returncode}. {_ELSEWHERE}")


def _save(file: Path, name: str, blueprint: "Blueprint", log: Callable[["RecordingStream"], None]) -> None:
    import rerun as rr

    from scenegen.contract.storage import Root  # here, because --help needs no pyarrow

    def write(partial: Path) -> None:
        recording = rr.RecordingStream("fixer3d")
        try:
            recording.save(partial)
            recording.send_blueprint(blueprint)  # active: otherwise a viewer shows the layout of what it last closed
            recording.send_recording_name(name)
            log(recording)
            recording.flush()
        finally:
            recording.disconnect()

    Root.open(file.parent).write_atomic(file.name, write)


def _viewer() -> str:
    """The program beside this Python, which need not be on the PATH."""
    places = f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    program = shutil.which("rerun", path=places)
    if program is None:
        raise ViewerFailed(f"rerun-sdk is installed, but its program `rerun` is not found. {_ELSEWHERE}")
    return program
