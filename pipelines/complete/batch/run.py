"""A batch: all pictures are checked, then completed one after the other by the same networks.

RESULTS/NAME/{scene.glb, picture.png, report.json, objects/}    whole or not there
RESULTS/report.json, index.html                                 of all pictures; when the batch ends or is stopped
"""

from __future__ import annotations

import errno
import functools
import signal
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, TextIO

from pipelines.atomic import complete_folder, make_writable
from pipelines.complete.batch.folder import PictureFiles, listed
from pipelines.complete.batch.made_from import MadeFrom, checkpoint_digest, content_digest, read_made_from
from pipelines.complete.batch.options import command_of, deciding
from pipelines.complete.batch.report import REPORT, Failures, check_results, counted, picture_result, write_results
from pipelines.complete.command import CompleteCommand
from pipelines.complete.inputs.estimators import LoadedEstimator, LoadEstimator
from pipelines.complete.inputs.from_files import check_files
from pipelines.complete.instance_masks import chosen_ids
from pipelines.complete.results import ProgressCallback
from pipelines.complete.terminal import Terminal
from pipelines.errors import EXIT_DONE, EXIT_ERROR, Interrupted, PipelineError, UsageError

if TYPE_CHECKING:
    from pipelines.complete.pipeline import FixerPipeline

BESIDE = "(Depth and camera files lie beside each picture: NAME.depth.npy, NAME.camera.json.)"
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # for any picture


def run_batch(
    command: CompleteCommand, pictures: Sequence[PictureFiles], checkpoint: str | Path, stream: TextIO
) -> int:
    """The exit code: 1 if a picture failed, or nothing of it was completed.

    Raises UsageError or PipelineError for whatever is wrong with any picture, before the first is completed, and
    Interrupted after Ctrl-C or SIGTERM: the finished pictures are kept.
    """
    check_results(command.out)
    batch = _Batch(command, pictures, checkpoint, stream)
    batch.check()
    make_writable(command.out)
    return batch.run()


@dataclass(frozen=True)
class _Job:
    """A picture, and what its result is made from."""

    picture: PictureFiles
    made_from: MadeFrom


class _Batch:
    def __init__(
        self,
        command: CompleteCommand,
        pictures: Sequence[PictureFiles],
        checkpoint: str | Path,
        stream: TextIO,
    ) -> None:
        self._command, self._results, self._checkpoint, self._stream = command, command.out, checkpoint, stream
        self._jobs = [_Job(one, made_from) for one, made_from in _made_from(command, pictures, checkpoint)]
        self._failures: Failures = {}
        self._terminal = Terminal(stream)

    def check(self) -> None:
        """Raises UsageError, with everything that is wrong."""
        wrong: dict[str, list[str]] = {}  # message → pictures
        for job in self._jobs:
            try:
                if self._is_finished(job):
                    continue
                one = command_of(self._command, job.picture, self._results)
                chosen_ids(check_files(one.files()), one.instances or None)
            except PipelineError as error:
                wrong.setdefault(str(error), []).append(job.picture.name)
        if wrong:
            count = sum(map(len, wrong.values()))
            lines = [f"{listed(names)}: {message}" for message, names in wrong.items()]
            heading = f"{count} of {len(self._jobs)} pictures cannot be completed, so none was begun:"
            raise UsageError("\n  ".join([heading, *lines]) + f"\n{BESIDE}")

    def run(self) -> int:
        todo = {number: job for number, job in enumerate(self._jobs, 1) if not self._is_finished(job)}
        self._say(_summary([job.picture for job in self._jobs], len(self._jobs) - len(todo)))
        try:
            with _terminable():
                if todo:
                    self._complete_all(todo)
        except KeyboardInterrupt:
            self._terminal.clear()
            done = sum(self._is_finished(job) for job in self._jobs)
            self._write_report()
            raise Interrupted(
                f"stopped with {done} of {len(self._jobs)} pictures finished in {self._results}; "
                "run the same command again to go on with the others"
            ) from None
        outcomes = self._write_report()
        self._say(f"wrote {self._results / 'index.html'} and {REPORT}: {counted(outcomes)}")
        return EXIT_DONE if set(outcomes) == {"completed"} else EXIT_ERROR

    def _complete_all(self, todo: Mapping[int, _Job]) -> None:
        pipe = self._command.load_pipeline(self._checkpoint)
        load = functools.cache(LoadedEstimator.load)
        for number, job in todo.items():
            began = time.monotonic()
            try:
                outcome = self._complete(job, pipe, load)
            except Exception as error:  # whatever it is, the other pictures can be completed
                if getattr(error.__cause__, "errno", None) in NO_ROOM:
                    raise
                if not isinstance(error, PipelineError):
                    self._stream.write(traceback.format_exc())
                self._failures[job.picture.name] = f"{error}" or type(error).__name__
                outcome = f"failed: {error}"
            self._terminal.clear()
            seconds = time.monotonic() - began
            self._say(f"{number}/{len(self._jobs)} {job.picture.name}: {outcome}, {seconds:.0f} s")

    def _complete(self, job: _Job, pipe: FixerPipeline, load: LoadEstimator) -> str:
        """How many objects had which outcome."""
        target = self._results / job.picture.name
        command = command_of(self._command, job.picture, target)
        inputs = command.read_inputs(load)
        for assumed in inputs.assumed:
            self._say(f"  {assumed}")
        completion = command.complete(pipe, inputs, self._show)
        described = {**inputs.described, "made_from": asdict(job.made_from)}
        with complete_folder(target) as folder:
            command_of(self._command, job.picture, folder).outputs().write(
                completion, replace(inputs, described=described)
            )
        return counted([one.outcome for one in completion.instances], "object")

    @property
    def _show(self) -> ProgressCallback:
        return self._terminal.show if self._stream.isatty() else lambda _: None

    def _is_finished(self, job: _Job) -> bool:
        """Raises UsageError for a result that is of something else."""
        folder = self._results / job.picture.name
        if not folder.exists():
            return False
        changed = read_made_from(folder / REPORT).differences(job.made_from)
        if changed:
            raise UsageError(
                f"its result was made from something else ({'; '.join(changed)}); choose another --out, or remove the "
                f"folder of that name in {self._results} to complete it again"
            )
        return True

    def _write_report(self) -> list[str]:
        """The outcome of every picture."""
        done = [picture_result(job.picture, self._results, self._failures) for job in self._jobs]
        write_results(self._results, done)
        return [one.outcome for one in done]

    def _say(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()


def _made_from(
    command: CompleteCommand, pictures: Sequence[PictureFiles], checkpoint: str | Path
) -> Iterator[tuple[PictureFiles, MadeFrom]]:
    networks, remembered = checkpoint_digest(checkpoint), functools.cache(content_digest)
    for picture in pictures:
        one = command_of(command, picture, Path())
        request = one.files()
        paths: dict[str, Path] = {"image": request.image, "masks": request.masks}
        paths |= {"depth": Path(request.depth)} if request.has_depth_file else {}
        paths |= {"camera": request.camera} if request.camera is not None else {}
        settings = {**deciding(one), "networks": networks}
        settings |= {} if request.has_depth_file else {"depth": request.depth}
        yield picture, MadeFrom.of(settings, {role: remembered(path) for role, path in paths.items()})


def _summary(pictures: Sequence[PictureFiles], finished: int) -> str:
    """How many pictures there are, and how many of them bring what."""
    said = [f"{sum(role in one.paths for one in pictures)} with {role} of their own" for role in ("depth", "camera")]
    done = f"; {finished} finished before" if finished else ""
    return f"{len(pictures)} pictures, {', '.join(said)}{done}"


@contextmanager
def _terminable() -> Iterator[None]:
    """In this context SIGTERM is answered like Ctrl-C."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
