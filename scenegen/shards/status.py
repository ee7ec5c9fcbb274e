"""How far a dataset is: finished shards from their ledgers, finished scenes of the others from the spool's names."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from scenegen.config import DatasetConfig
from scenegen.contract.index import parse_shard_name, read_index
from scenegen.contract.objects import OBJECTS, VIEWS
from scenegen.contract.schema import FIELDS
from scenegen.contract.storage import Root
from scenegen.shards.ledger import ShardLedger, finished_shards
from scenegen.shards.object_spool import num_spooled
from scenegen.shards.spool import finished_scenes

_LOOKS_AT_ONCE = 16
_LISTED = 5


@dataclass(frozen=True, slots=True)
class Status:
    """What of a dataset is finished.

    ledgers: of the finished shards. spooled: unfinished shard to the number of scenes that its spool holds.
    merged: whether dataset.json is there. beside: (files, files when complete) by table, of what lies beside the views
    (depth sidecars, objects tables). spooled_assets: rendered assets of unfinished objects shards.
    """

    config: DatasetConfig
    ledgers: tuple[ShardLedger, ...]
    spooled: dict[int, int]
    merged: bool
    beside: dict[str, tuple[int, int]]
    spooled_assets: int

    @property
    def finished_scenes(self) -> int:
        return sum(ledger.counts["scenes"] for ledger in self.ledgers) + sum(self.spooled.values())

    def to_dict(self) -> dict[str, Any]:
        """Numbers for a machine."""
        return {
            "scenes": self.config.num_scenes,
            "finished_scenes": self.finished_scenes,
            "failed_scenes": sum(len(ledger.failed) for ledger in self.ledgers),
            "shards": self.config.num_shards,
            "finished_shards": len(self.ledgers),
            "bytes": sum(ledger.views.bytes + ledger.scenes_file.bytes for ledger in self.ledgers),
            "merged": self.merged,
            "tables": self.beside,
            "spooled_assets": self.spooled_assets,
            "config_digest": self.config.digest,
        }


def read_status(root: Root, config: DatasetConfig) -> Status:
    """Read the ledgers and list the spool; no shard file is opened."""
    finished = finished_shards(root, config, range(config.num_shards))
    open_shards = [shard for shard in range(config.num_shards) if shard not in finished]
    with ThreadPoolExecutor(_LOOKS_AT_ONCE) as pool:
        spooled = [*pool.map(lambda shard: len(finished_scenes(root, shard)), open_shards)]
    beside = _tables_beside(root)
    _, object_shards = beside.get(OBJECTS, (0, 0))
    return Status(
        config,
        tuple(finished.values()),
        dict(zip(open_shards, spooled, strict=True)),
        read_index(root) is not None,
        beside,
        num_spooled(root, VIEWS, object_shards),
    )


def _tables_beside(root: Root) -> dict[str, tuple[int, int]]:
    """Table to (files, files when complete), of the tables that are not the scenes' own."""
    found: dict[str, tuple[int, int]] = {}
    for table, _, count in filter(None, map(parse_shard_name, root.list())):
        if table not in FIELDS:
            found[table] = (found.get(table, (0, 0))[0] + 1, count)
    return dict(sorted(found.items()))


def describe(root: Root, status: Status) -> str:
    """The status in a few lines for people."""
    config, ledgers = status.config, status.ledgers
    share = status.finished_scenes / config.num_scenes
    lines = [
        f"{root.location}: {status.finished_scenes} of {config.num_scenes} scenes ({share:.1%}), "
        f"{len(ledgers)} of {config.num_shards} shards finished, "
        f"{sum(n > 0 for n in status.spooled.values())} in the making",
        f"seed {config.seed}, {config.camera.num_views} views of {config.camera.resolution_px} px, "
        f"drawn by {config.renderer}, config {config.digest[:12]}",
    ]
    if ledgers:
        size = sum(ledger.views.bytes + ledger.scenes_file.bytes for ledger in ledgers)
        cpu = sum(ledger.cpu_seconds for ledger in ledgers) / 3600
        views = sum(ledger.counts["views"] for ledger in ledgers)
        lines.append(f"{views} views, {size / 1e6:.1f} MB, {cpu:.2f} CPU-hours")
    reasons = Counter(reason for ledger in ledgers for _, reason in ledger.failed)
    if reasons:
        listed = "; ".join(f"{count} x {reason}" for reason, count in reasons.most_common(_LISTED))
        lines.append(f"{sum(reasons.values())} failed scenes: {listed}")
    if status.beside:
        shares = ", ".join(f"{table} {done} of {count}" for table, (done, count) in status.beside.items())
        spooled = f"; {status.spooled_assets} rendered assets in the spool" if status.spooled_assets else ""
        lines.append(f"shards beside the views: {shares}{spooled}")
    if len(ledgers) == config.num_shards:
        lines.append("complete" if status.merged else f"complete, not merged: scenegen merge --out {root.location}")
    else:
        lines.append(f"go on with: scenegen render --out {root.location} --resume-config")
    return "\n".join(lines)
