"""Checks the objects tables: every row against its asset, every table against those that it was made from."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from scenegen.contract import objects
from scenegen.contract.index import parse_shard_name, shard_name
from scenegen.contract.objects import VIEW_KINDS, ObjectGeometry, StepMeta
from scenegen.contract.schema import ShardMeta
from scenegen.contract.storage import Root
from scenegen.contract.validate import schema_problems
from scenegen.contract.validate_objects import (
    feature_problems,
    geometry_problems,
    latent_problems,
    object_view_problems,
)
from scenegen.shards.objects import meta_of, tables_of
from scenegen.verify.problem import Problem, problems_of_shards


def _num_shards(root: Root) -> int:
    """Shards of the objects tables, 0 without tables. Raises ValueError if two cuts lie in one folder."""
    parsed = [name for name in map(parse_shard_name, root.list()) if name and name[0].startswith(objects.OBJECTS)]
    counts = sorted({count for _, _, count in parsed})
    if len(counts) > 1:
        raise ValueError(f"{root.location} holds objects tables of {counts} shards; keep one kind of them")
    return counts[0] if counts else 0


def verify_objects(
    root: Root, used: Mapping[str, str] | None = None, images: ShardMeta | None = None, processes: int = 1
) -> Iterator[Problem]:
    """Everything that is wrong with the objects tables below `root`: shard by shard, then the tables as a whole.

    Without tables, nothing. used: sha256 of each asset that the dataset's scenes show. images: how the scenes were
    rendered, which the clean views must match.
    """
    try:
        count = _num_shards(root)
    except ValueError as error:
        yield Problem(None, str(error))
        return
    yield from problems_of_shards(partial(_check_shard, root, count), count, processes)
    if count:
        yield from _as_a_whole(root, count, used or {}, images)


def _check_shard(root: Root, count: int, shard: int) -> list[Problem]:
    """Everything that is wrong with one shard of every table."""
    problems: list[Problem] = []
    geometries: dict[str, ObjectGeometry] = {}
    metas: dict[str, StepMeta] = {}
    files: dict[str, pq.ParquetFile] = {}
    for table in tables_of(root):
        name = shard_name(table, shard, count)
        try:
            files[table] = pq.ParquetFile(root.open_input(name), page_checksum_verification=True)
            metas[table] = meta_of(files[table].schema_arrow)
        except FileNotFoundError:
            problems.append(_problem(name, "is missing although other shards have it"))
        except (pa.ArrowException, OSError, ValueError) as error:
            problems.append(_problem(name, f"cannot be read: {error}"))
    for table in metas:
        if table != objects.OBJECTS and not geometries:
            break  # there is nothing to check them against, and that was said
        name = shard_name(table, shard, count)
        try:
            problems += [_problem(name, what) for what in _file_problems(table, files[table], metas, geometries)]
        except (pa.ArrowException, OSError, ValueError) as error:
            problems.append(_problem(name, f"cannot be read: {error}"))
            if table == objects.OBJECTS:
                break  # half a list of assets would put the blame on files that are good
    return problems


def _problem(file: str, what: str) -> Problem:
    return Problem(None, f"{file}: {what}", file)


def _as_a_whole(root: Root, count: int, used: Mapping[str, str], images: ShardMeta | None) -> Iterator[Problem]:
    """What no shard can know alone: every asset once and in order, one list and one set of settings for all files."""
    first: dict[str, StepMeta] = {}
    listed: dict[str, str] = {}
    for shard in range(count):
        for table in tables_of(root):
            name = shard_name(table, shard, count)
            try:
                with root.open_input(name) as source:
                    file = pq.ParquetFile(source)
                    meta = meta_of(file.schema_arrow)
                    rows = file.read(columns=["asset_uid", "asset_sha256"]) if table == objects.OBJECTS else None
            except (OSError, ValueError):
                continue  # said of its shard
            reference = first.setdefault(table, meta)
            if (meta.assets_digest, meta.settings) != (reference.assets_digest, reference.settings):
                yield _problem(name, "was made with other settings, or of another list of assets, than the first")
            if images and table == objects.VIEWS:
                yield from _image_problems(name, meta, images)
            if rows is not None:
                found = dict(zip(rows["asset_uid"].to_pylist(), rows["asset_sha256"].to_pylist(), strict=True))
                if list(found) != sorted(found) or (listed and found and min(found) <= max(listed)):
                    yield _problem(name, "its assets are not in order, or in another shard as well")
                listed |= found
    lacking = sorted(uid for uid, sha256 in used.items() if listed.get(uid) != sha256)
    if lacking:
        name = shard_name(objects.OBJECTS, 0, count)
        yield _problem(name, f"{len(lacking)} assets of the scenes are in no shard, or are others: {lacking[:3]}")


def _image_problems(name: str, meta: StepMeta, images: ShardMeta) -> Iterator[Problem]:
    for what in ("renderer", "colour_transform"):
        mine, theirs = getattr(meta, what), getattr(images, what)
        if mine != theirs:
            yield _problem(name, f"its {what} is {mine!r}, that of the scenes {theirs!r}")


def _file_problems(
    table: str, file: pq.ParquetFile, metas: Mapping[str, StepMeta], geometries: dict[str, ObjectGeometry]
) -> Iterator[str]:
    """geometries: of the good assets; filled from the objects table, which comes first, and read for the others."""
    yield from schema_problems(file.schema_arrow, objects.object_schema(table))
    if metas[table].step != table:
        yield f"its metadata says that it is of {metas[table].step}"
    rows = (file.read_row_group(number).to_pylist()[0] for number in range(file.num_row_groups))
    if table == objects.OBJECTS:
        yield from _geometry_rows(rows, geometries)
    elif table == objects.VIEWS:
        yield from _view_rows(rows, metas[table].settings, geometries)
    elif table.startswith(objects.FEATURES_PREFIX):
        yield from _built_on(metas[table], "views", metas.get(objects.VIEWS))
        yield from _feature_rows(rows, metas[table].settings, geometries)
    else:
        extractor = metas[table].settings.get("features", {}).get("extractor", "")
        yield from _built_on(metas[table], "features", metas.get(objects.FEATURES_PREFIX + extractor))
        yield from _latent_rows(rows, geometries)


def _geometry_rows(rows: Iterator[Mapping[str, Any]], geometries: dict[str, ObjectGeometry]) -> Iterator[str]:
    for row in rows:
        geometry = objects.decode_geometry(row)
        yield from (f"asset {geometry.asset_uid} {problem}" for problem in geometry_problems(geometry))
        if geometry.status == "ok":
            geometries[geometry.asset_uid] = geometry


def _view_rows(
    rows: Iterator[Mapping[str, Any]], settings: Mapping[str, Any], geometries: Mapping[str, ObjectGeometry]
) -> Iterator[str]:
    wanted = [(kind, index) for kind in VIEW_KINDS for index in range(settings[f"{kind}_views"])]
    found: dict[str, list[tuple[str, int]]] = {}
    shown: set[tuple[str, str]] = set()
    for row in rows:
        view = objects.decode_object_view(row)
        found.setdefault(view.asset_uid, []).append((view.kind, view.view_index))
        who = f"asset {view.asset_uid}, {view.kind} view {view.view_index}"
        yield from (f"{who}: {problem}" for problem in object_view_problems(view))
        if view.rgba is not None and view.rgba[..., 3].any():
            shown.add((view.asset_uid, view.kind))
            if view.kind == "condition" and view.crop is None:
                yield f"{who}: has no crop"
    yield from _asset_problems(found, geometries)
    for uid, views in found.items():
        if views != wanted:
            yield f"asset {uid} has {len(views)} views, which are not the {len(wanted)} that its settings promise"
        yield from (f"asset {uid} is seen in no {kind} view" for kind in VIEW_KINDS if (uid, kind) not in shown)


def _feature_rows(
    rows: Iterator[Mapping[str, Any]], settings: Mapping[str, Any], geometries: Mapping[str, ObjectGeometry]
) -> Iterator[str]:
    found, channels = [], set()
    for row in rows:
        features = objects.decode_features(row)
        found.append(features.asset_uid)
        channels.add(features.feats.shape[1])
        if features.asset_uid in geometries:
            checks = feature_problems(features, geometries[features.asset_uid], settings["views"]["feature_views"])
            yield from (f"asset {features.asset_uid} {problem}" for problem in checks)
    yield from _asset_problems(found, geometries)
    if len(channels) > 1:
        yield f"its rows have {sorted(channels)} channels"


def _latent_rows(rows: Iterator[Mapping[str, Any]], geometries: Mapping[str, ObjectGeometry]) -> Iterator[str]:
    seen: set[tuple[str, int]] = set()
    for row in rows:
        latents = objects.decode_latents(row)
        who = f"asset {latents.asset_uid}, rotation {latents.rotation_index}"
        if (latents.asset_uid, latents.rotation_index) in seen:
            yield f"{who} is there twice"
        seen.add((latents.asset_uid, latents.rotation_index))
        if latents.asset_uid not in geometries:
            yield f"{who}: the objects table has no such asset, or it failed"
            continue
        yield from (f"{who}: {problem}" for problem in latent_problems(latents, geometries[latents.asset_uid]))


def _asset_problems(
    found: Sequence[str] | Mapping[str, Any], geometries: Mapping[str, ObjectGeometry]
) -> Iterator[str]:
    if [*found] != [*geometries]:
        different = sorted(set(found) ^ set(geometries))
        yield f"its assets are not the good ones of the objects table (differing: {different[:3] or 'their order'})"


def _built_on(meta: StepMeta, step: str, other: StepMeta | None) -> Iterator[str]:
    """What a table says that it was made from must be what lies beside it."""
    if step in meta.settings and other is not None and meta.settings[step] != other.settings:
        yield f"was made from other {step} than those beside it"
