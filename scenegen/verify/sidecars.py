"""Checks the depth sidecars of a dataset: every estimator's file of every shard, and every row against its view."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from scenegen.contract.index import shard_name
from scenegen.contract.schema import decode_facts, decode_view
from scenegen.contract.sidecar import EstimatorMeta, decode_estimate, sidecar_schema, sidecar_table
from scenegen.contract.storage import Root
from scenegen.contract.validate import estimate_problems, schema_problems
from scenegen.shards.sidecars import SidecarFile, estimators_of, row_keys
from scenegen.verify.problem import Problem

_VIEW_COLUMNS = [
    "scene_index",
    "view_index",
    "width",
    "height",
    "K_px",
    "T_world_cam",
    "depth",
    "depth_offset_m",
    "depth_step_m",
    "objects",
]


def sidecar_problems(root: Root, shard: int, num_shards: int) -> Iterator[Problem]:
    """Everything that is wrong with the sidecars of a good views shard.

    Every estimator that any shard has must be there, with one row for each view.
    """
    views = shard_name("views", shard, num_shards)
    for estimator in estimators_of(root):
        name = shard_name(sidecar_table(estimator), shard, num_shards)
        for what in _sidecar_problems(root, SidecarFile(shard, views, name)):
            yield Problem(shard, what, name)


def _sidecar_problems(root: Root, file: SidecarFile) -> Iterator[str]:
    """What is wrong with one sidecar: its schema, its pages, and every row against its view."""
    try:
        with root.open_input(file.name) as source, root.open_input(file.views) as views_source:
            rows = pq.ParquetFile(source, page_checksum_verification=True)
            views = pq.ParquetFile(views_source)
            yield from (f"{file.name}: {problem}" for problem in _file_problems(rows, views))
    except FileNotFoundError:
        yield f"{file.name} is missing although other shards have it; make it with: scenegen annotate"
    except (pa.ArrowException, OSError, ValueError) as error:
        yield f"{file.name} cannot be read: {error}; remove it and run scenegen annotate again"


def _file_problems(rows: pq.ParquetFile, views: pq.ParquetFile) -> Iterator[str]:
    yield from schema_problems(rows.schema_arrow, sidecar_schema())
    metadata = {key.decode(): value.decode() for key, value in (rows.schema_arrow.metadata or {}).items()}
    meta = EstimatorMeta.from_metadata(metadata)
    digest = (views.schema_arrow.metadata or {}).get(b"config_digest", b"").decode()
    if metadata.get("config_digest") != digest:
        yield "was made for another dataset (its config digest differs)"
    if row_keys(rows) != row_keys(views):
        yield "its rows are not those of the views shard"
        return
    for number in range(rows.num_row_groups):
        (row,) = rows.read_row_group(number).to_pylist()
        (view_row,) = views.read_row_group(number, columns=_VIEW_COLUMNS).to_pylist()
        view = decode_view(view_row, [decode_facts(facts) for facts in view_row["objects"]])
        who = f"scene {view.scene_index}, view {view.view_index}"
        yield from (f"{who}: {problem}" for problem in estimate_problems(decode_estimate(row, meta), view))
