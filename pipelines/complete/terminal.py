"""What the command prints while a scene is being completed, and at its end."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

from pipelines.complete.results import Completion, InstanceCompletion, Progress

WIDTH = 78


class Terminal:
    """On a terminal one line that is overwritten; in a file one line per step. Then a summary."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._changes = stream.isatty()
        self._step = ""

    def show(self, progress: Progress) -> None:
        if self._changes:
            ids = ", ".join(str(i) for i in progress.instance_ids)
            line = f"{progress.step:9} {progress.done:3}/{progress.total}  instances {ids}"
            self._stream.write("\r" + line[:WIDTH].ljust(WIDTH))
        elif progress.step != self._step:
            self._step = progress.step
            self._stream.write(f"{progress.step} ...\n")
        self._stream.flush()

    def clear(self) -> None:
        """Of the line that is overwritten."""
        if self._changes:
            self._stream.write("\r" + " " * WIDTH + "\r")

    def summarise(self, completion: Completion, out: Path) -> None:
        self.clear()
        lines = [_line(one) for one in completion.instances]
        steps = ", ".join(f"{step} {seconds:.1f} s" for step, seconds in completion.seconds.items())
        lines += [
            f"{len(completion.completed)} of {len(completion.instances)} completed on {completion.device}: {steps}",
            f"by: {completion.checkpoint}",
            f"wrote {out}",
        ]
        self._stream.write("\n".join(lines) + "\n")


def _line(one: InstanceCompletion) -> str:
    if one.outcome != "completed" or one.mesh is None:
        return f"{one.instance_id:5}  {one.outcome}: {one.reason}"
    note = ", cut by the image's border" if one.cut_by_border else ""
    return (
        f"{one.instance_id:5}  completed: {len(one.mesh.faces_F3)} faces, {sum(one.seconds.values()):.1f} s, "
        f"{one.points} points{note}"
    )
