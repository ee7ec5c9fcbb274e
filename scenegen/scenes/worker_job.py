"""What a child process must know to make the scenes of one shard, as one line of JSON."""

import dataclasses
import json
from dataclasses import dataclass

from scenegen.config import DatasetConfig
from scenegen.contract.schema import ShardMeta


@dataclass(frozen=True, slots=True)
class WorkerJob:
    """One shard for one process.

    location: the dataset's root. meta: what the files say of themselves. device: auto, optix, cuda or cpu.
    threads: CPU threads of the renderer.
    """

    location: str
    shard: int
    config: DatasetConfig
    meta: ShardMeta
    device: str
    threads: int

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "WorkerJob":
        raw = json.loads(text)
        return cls(**{**raw, "config": DatasetConfig.from_dict(raw["config"]), "meta": ShardMeta(**raw["meta"])})
