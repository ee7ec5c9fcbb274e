"""Runs one estimator over one shard: views in, rows of a sidecar out. Reading, estimating and aligning overlap."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import groupby

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from scenegen.annotate.alignment import align_image, align_instances, masked_errors
from scenegen.annotate.manifest import SIMULATED
from scenegen.annotate.protocol import DepthEstimator, Prediction, Request, Truth, rng_for_view
from scenegen.contract.records import View
from scenegen.contract.schema import decode_view
from scenegen.contract.sidecar import DepthEstimate, EstimatorMeta, encode_estimate
from scenegen.contract.storage import Root
from scenegen.errors import SceneGenError

_COLUMNS = ["scene_index", "view_index", "width", "height", "K_px", "T_world_cam", "rgb"]
_TRUTH_COLUMNS = ["depth", "depth_offset_m", "depth_step_m", "instance_id"]
_STREAM = 3
_PREDICT_AT_ONCE = 16  # views of one call; estimators divide them into batches of their own


@dataclass(slots=True)
class ShardTimes:
    """Seconds spent in each part, summed over threads; parts overlap in time."""

    views: int = 0
    read_s: float = 0.0
    predict_s: float = 0.0
    align_s: float = 0.0
    encode_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ShardRun:
    """One estimator over one views shard. views: the shard's file. seed: of the samples of the robust fits."""

    root: Root
    views: str
    estimator: DepthEstimator
    meta: EstimatorMeta
    seed: int
    times: ShardTimes = field(default_factory=ShardTimes)


def sidecar_rows(
    run: ShardRun, on_scene: Callable[[int], None] | None = None, threads: int = 2
) -> Iterator[pa.RecordBatch]:
    """The rows of a sidecar, in the order of the views; adds to run.times.

    While one scene is estimated, the next is read and the last is aligned and encoded, in `threads` threads.
    on_scene: is called with the number of views of each scene that was estimated.
    Raises SceneGenError if the views shard cannot be read.
    """
    with run.root.open_input(run.views) as source, ThreadPoolExecutor(max(1, threads)) as pool:
        yield from _rows(run, _ViewReader(run, source), pool, on_scene)


def _rows(
    run: ShardRun, read: "_ViewReader", pool: ThreadPoolExecutor, on_scene: Callable[[int], None] | None
) -> Iterator[pa.RecordBatch]:
    scenes = read.rows_of_scenes()
    coming = [pool.submit(read, row) for row in scenes[0]] if scenes else []
    done: list[Future[pa.RecordBatch]] = []
    for number in range(len(scenes)):
        views = [view.result() for view in coming]
        coming = [pool.submit(read, row) for row in scenes[number + 1]] if number + 1 < len(scenes) else []
        requests = _requests(run, views)
        for first in range(0, len(views), _PREDICT_AT_ONCE):
            chunk = slice(first, first + _PREDICT_AT_ONCE)
            started = time.perf_counter()
            predictions = run.estimator.predict(requests[chunk])
            run.times.predict_s += time.perf_counter() - started
            for finished in done:
                yield finished.result()
            shown = zip(views[chunk], requests[chunk], predictions, strict=True)
            done = [pool.submit(_finish, run, *one) for one in shown]
        run.times.views += len(views)
        if on_scene:
            on_scene(len(views))
    for finished in done:
        yield finished.result()


class _ViewReader:
    """Reads the views of a shard by row number. Threads take turns to read the file, and decode in parallel."""

    def __init__(self, run: ShardRun, source: pa.NativeFile) -> None:
        self._run, self._turn = run, threading.Lock()
        with self._errors_as_ours():
            self._file = pq.ParquetFile(source, page_checksum_verification=True)

    def rows_of_scenes(self) -> list[list[int]]:
        """The row numbers of each scene."""
        with self._errors_as_ours():
            scenes = self._file.read(columns=["scene_index"])["scene_index"].to_pylist()
        return [[row for row, _ in group] for _, group in groupby(enumerate(scenes), key=lambda item: item[1])]

    def __call__(self, row: int) -> View:
        started = time.perf_counter()
        with self._errors_as_ours():
            with self._turn:
                group = self._file.read_row_group(row, columns=[*_COLUMNS, *_TRUTH_COLUMNS])
            view = decode_view(group.to_pylist()[0], ())
        self._run.times.read_s += time.perf_counter() - started
        return view

    @contextmanager
    def _errors_as_ours(self) -> Iterator[None]:
        try:
            yield
        except (OSError, pa.ArrowException, ValueError) as error:
            reason = str(error).strip().replace("\n", " ")
            raise SceneGenError(
                f"{self._run.views} cannot be read ({reason}); check it with: scenegen verify"
            ) from error


def _requests(run: ShardRun, views: Sequence[View]) -> list[Request]:
    by_index = {view.view_index: view for view in views}
    requests = []
    for view in views:
        assert view.rgb is not None and view.depth_m is not None and view.instance_id is not None
        others = run.estimator.companions(view.scene_index, view.view_index, sorted(by_index))
        # A network never gets the truth.
        truth = Truth(view.depth_m, view.instance_id) if run.meta.estimator == SIMULATED else None
        shown = tuple((other, _rgb(by_index[other])) for other in others)
        requests.append(Request(view.scene_index, view.view_index, view.rgb, shown, truth))
    return requests


def _rgb(view: View) -> np.ndarray:
    assert view.rgb is not None
    return view.rgb


def _finish(run: ShardRun, view: View, request: Request, prediction: Prediction) -> pa.RecordBatch:
    started = time.perf_counter()
    rng = rng_for_view(run.seed, view.scene_index, view.view_index, _STREAM)
    others = tuple(other for other, _ in request.other_views)
    estimate, valid_share = aligned_estimate(view, prediction, run.meta, rng, others)
    aligned_at = time.perf_counter()
    row = encode_estimate(estimate, valid_share)
    run.times.align_s += aligned_at - started
    run.times.encode_s += time.perf_counter() - aligned_at
    return row


def aligned_estimate(
    view: View, prediction: Prediction, meta: EstimatorMeta, rng: np.random.Generator, others: tuple[int, ...] = ()
) -> tuple[DepthEstimate, float]:
    """A prediction with its alignment to the view's depth, and the share of pixels with depth where it is usable.

    view: with depth_m and instance_id read. rng: draws the samples of the robust fit. others: indices of the other
    views that the estimator got.
    """
    assert view.depth_m is not None and view.instance_id is not None
    raw = DepthEstimate(
        view.scene_index,
        view.view_index,
        meta.estimator,
        meta.kind,
        meta.metric,
        prediction.map,
        prediction.confidence,
        meta.confidence_threshold,
        focal_px=prediction.focal_px,
        source_views=others,
        variant=prediction.variant,
    )
    valid, truth = raw.valid, view.depth_m
    hit = np.isfinite(truth)
    valid_share = float((valid & hit).sum() / max(int(hit.sum()), 1))
    metric_errors = masked_errors(raw.map, truth, valid) if meta.metric else None
    alignment = align_image(raw.map, truth, valid, meta.alignment, rng)
    if alignment is None:
        return replace(raw, metric_errors=metric_errors), valid_share
    depth = alignment.apply(raw.map)
    errors = masked_errors(depth, truth, valid)
    if errors is None:
        return replace(raw, metric_errors=metric_errors), valid_share
    instances = align_instances(depth, truth, view.instance_id, valid)
    estimate = replace(raw, alignment=alignment, errors=errors, metric_errors=metric_errors, instances=instances)
    return estimate, valid_share
