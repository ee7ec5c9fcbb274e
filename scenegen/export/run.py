"""An export from beginning to end: units of scenes, in processes, with progress, and again after an interruption."""

import importlib.util
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from scenegen.errors import SceneGenError, UsageError
from scenegen.export.exporter import Exporter, ExportOptions, Source
from scenegen.export.folder import ExportFolder
from scenegen.export.formats import exporter_of
from scenegen.export.selection import SceneViews

Unit = tuple[int, tuple[SceneViews, ...]]


def export(name: str, options: ExportOptions, out: Path, workers: int) -> dict[str, Any]:
    """Write a dataset in a format; go on where an earlier call stopped. Returns the claim, with what was counted.

    Raises UsageError if nothing passes the filters or the folder holds something else, SceneGenError if a package or
    an asset is missing, CannotStoreError.
    """
    kind = exporter_of(name)
    _require_packages(name, kind)
    source = Source(options)
    units = tuple(enumerate(_units(source.selection.scenes, kind.views_per_unit)))
    kind(source, ExportFolder(out)).check()
    folder = ExportFolder.claim(out, _claim(name, source))
    if folder.finished:
        return {**folder.finished, "already": True}
    missing = [unit for unit in units if not folder.is_done(unit[0])]
    with _progress(source.selection.num_views, missing) as advance:
        for views in _write(name, options, out, missing, workers):
            advance(views)
    counted = sum(part["views"] for part in folder.parts(len(units)))
    if not counted:
        folder.remove()
        raise UsageError(
            f"no object passes in the {source.selection.num_views} chosen views; relax --min-visible-px, "
            "--max-occlusion or --split"
        )
    kind(source, folder).finish(len(units))
    folder.finish({"scenes": sum(len(scenes) for _, scenes in units), "views": counted})
    assert folder.finished is not None
    return folder.finished


def _require_packages(name: str, kind: type[Exporter]) -> None:
    for package, extra in kind.needs:
        if importlib.util.find_spec(package) is None:
            raise SceneGenError(f"--format {name} needs the package {package}; pip install 'fixer3d[{extra}]'")


def _claim(name: str, source: Source) -> dict[str, Any]:
    """What two calls must have in common for the second to go on with the first."""
    options = source.options
    return {
        "format": name,
        "config_digest": source.dataset.metadata()["config_digest"],
        "chosen_views": source.selection.num_views,
        "filters": {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(options.filters).items()},
        "categories": options.categories,
        "amodal_masks": options.amodal_masks,
    }


def _units(scenes: Sequence[SceneViews], views_per_unit: int) -> Iterator[tuple[SceneViews, ...]]:
    unit: list[SceneViews] = []
    for scene in scenes:
        unit.append(scene)
        if sum(len(each.views) for each in unit) >= views_per_unit:
            yield tuple(unit)
            unit = []
    if unit:
        yield tuple(unit)


def _write(name: str, options: ExportOptions, out: Path, units: Sequence[Unit], workers: int) -> Iterator[int]:
    """Write units; the number of views of each, as they are done."""
    if min(workers, len(units)) <= 1:
        write = _Writer(name, options, out)
        yield from map(write, units)
        return
    context = multiprocessing.get_context("spawn")  # fork would copy pyarrow's threads in an unknown state
    pool = ProcessPoolExecutor(min(workers, len(units)), context, _start_worker, (name, options, out))
    try:
        for future in as_completed([pool.submit(_write_in_worker, unit) for unit in units]):
            yield future.result()
    except BrokenProcessPool:
        raise SceneGenError(
            "a process was killed, perhaps for memory; run the same command again, with fewer --workers"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


class _Writer:
    def __init__(self, name: str, options: ExportOptions, out: Path) -> None:
        self._folder = ExportFolder(out)
        self._exporter = exporter_of(name)(Source(options), self._folder)

    def __call__(self, unit: Unit) -> int:
        number, scenes = unit
        self._folder.record(number, self._exporter.unit(number, scenes))
        return sum(len(scene.views) for scene in scenes)


_in_worker: Callable[[Unit], int]


def _start_worker(name: str, options: ExportOptions, out: Path) -> None:
    global _in_worker  # a pool has no other place for what a process keeps between calls
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command stops the pool
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _in_worker = _Writer(name, options, out)


def _write_in_worker(unit: Unit) -> int:
    return _in_worker(unit)


def _end_with_parent() -> None:
    """A pool waits for ever for a command that was killed."""
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os._exit(1)


@contextmanager
def _progress(views: int, missing: Sequence[Unit]) -> Iterator[Callable[[int], Any]]:
    """A bar at a terminal; elsewhere a line every tenth of the way."""
    todo = sum(len(scene.views) for _, scenes in missing for scene in scenes)
    if sys.stderr.isatty():
        with tqdm(total=views, initial=views - todo, unit="view") as bar:
            yield bar.update
        return
    done, told = views - todo, 0

    def advance(count: int) -> None:
        nonlocal done, told
        done += count
        if done * 10 // views > told:
            told = done * 10 // views
            sys.stderr.write(f"scenegen: {done} of {views} views\n")

    yield advance
