"""Ledgers: what is known of each finished shard, one JSON file each, so that no file grows with the dataset."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

from scenegen.config import DatasetConfig
from scenegen.contract.index import ShardEntry, ShardFile
from scenegen.contract.records import Scene
from scenegen.contract.storage import Root
from scenegen.errors import SceneGenError
from scenegen.shards.spool import SceneRecord

LEDGER = "_ledger"
_LOOKS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class ShardLedger:
    """A finished shard: its files, its failures, and how long it took.

    scenes: first scene and the one after the last. failed: (scene, reason). quarantined: (scene, asset uid, reason).
    counts, views_rejected, licences: totals over the shard's scenes. hosts, seconds, cpu_seconds: they differ from run
    to run and are therefore here and not in rows.
    """

    shard: int
    scenes: tuple[int, int]
    config_digest: str
    views: ShardFile
    scenes_file: ShardFile
    failed: tuple[tuple[int, str], ...] = ()
    quarantined: tuple[tuple[int, str, str], ...] = ()
    counts: dict[str, int] = field(default_factory=dict)
    views_rejected: dict[str, int] = field(default_factory=dict)
    licences: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    hosts: tuple[str, ...] = ()

    @property
    def entry(self) -> ShardEntry:
        """The entry of dataset.json."""
        return ShardEntry(self.shard, self.views, self.scenes_file)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "ShardLedger":
        raw: dict[str, Any] = json.loads(text)
        return cls(
            **{
                **raw,
                "scenes": tuple(raw["scenes"]),
                "views": ShardFile(**raw["views"]),
                "scenes_file": ShardFile(**raw["scenes_file"]),
                "failed": tuple((scene, reason) for scene, reason in raw["failed"]),
                "quarantined": tuple((scene, uid, reason) for scene, uid, reason in raw["quarantined"]),
                "hosts": tuple(raw["hosts"]),
            }
        )


def ledger_file(shard: int) -> str:
    return f"{LEDGER}/shard-{shard:05d}.json"


def shard_statistics(scenes: Sequence[Scene], records: Sequence[SceneRecord], num_views: int) -> dict[str, Any]:
    """The fields of a ledger that are totals over scenes and their records."""
    good = [scene for scene in scenes if scene.status == "ok"]
    rejected: Counter[str] = Counter()
    for scene in good:
        rejected.update(dict(scene.views_rejected))
    return {
        "failed": tuple((scene.scene_index, scene.failure) for scene in scenes if scene.status != "ok"),
        "quarantined": tuple(
            (scene.scene_index, uid, reason)
            for scene, record in zip(scenes, records, strict=True)
            for uid, reason in record.quarantined
        ),
        "counts": {
            "scenes": len(scenes),
            "failed_scenes": len(scenes) - len(good),
            "views": num_views,
            "objects": sum(len(scene.objects) for scene in good),
            "objects_requested": sum(scene.objects_requested for scene in good),
            "placement_attempts": sum(scene.placement_attempts for scene in good),
            "outdoor_scenes": sum(scene.num_walls == 0 for scene in good),
            "commercial_scenes": sum(scene.commercial_use for scene in good),
        },
        "views_rejected": dict(rejected),
        "licences": dict(Counter(o.licence for scene in good for o in scene.objects)),
        "seconds": round(sum(record.seconds for record in records), 3),
        "cpu_seconds": round(sum(record.cpu_seconds for record in records), 3),
        "hosts": tuple(sorted({record.host for record in records if record.host})),
    }


def write_ledger(root: Root, ledger: ShardLedger) -> None:
    root.write_bytes(ledger_file(ledger.shard), ledger.to_json().encode())


def read_ledger(root: Root, shard: int) -> ShardLedger | None:
    """The ledger of a shard, None if it is not finished. Raises SceneGenError for an unreadable one."""
    try:
        return ShardLedger.from_json(root.read_bytes(ledger_file(shard)).decode())
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise SceneGenError(
            f"{root.location}/{ledger_file(shard)} is not a ledger ({error}); delete it and run the render again"
        ) from None


def finished_shard(root: Root, config: DatasetConfig, shard: int) -> ShardLedger | None:
    """The ledger of a shard whose files exist with the sizes that it states; None if the shard has to be made.

    Cheap, for resuming: `scenegen verify` also checks every hash and row.
    """
    ledger = read_ledger(root, shard)
    if ledger is None or ledger.config_digest != config.digest:
        return None
    for file in (ledger.views, ledger.scenes_file):
        try:
            if root.size_bytes(file.name) != file.bytes:
                return None
        except FileNotFoundError:
            return None
    return ledger


def finished_shards(root: Root, config: DatasetConfig, shards: Iterable[int]) -> dict[int, ShardLedger]:
    """Shard to ledger, of those of `shards` that are finished, in their order; see `finished_shard`."""
    with ThreadPoolExecutor(_LOOKS_AT_ONCE) as pool:
        ledgers = pool.map(lambda shard: finished_shard(root, config, shard), shards)
        return {ledger.shard: ledger for ledger in ledgers if ledger}
