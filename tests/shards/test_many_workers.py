"""A thousand workers that die at random still make every shard once, and little is made twice.

Workers are simulated in one process, moment by moment; spool, assembly and ledgers are the real ones. Each worker has
its share of the shards as an array task has, works on one scene at a time, dies with a certain probability in every
scene (losing that scene alone), and is started again by the scheduler some moments later.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from shards_rows import meta_of, spool_scene, tiny_config

from scenegen.contract.storage import Root
from scenegen.jobs.assignment import Assignment
from scenegen.shards.ledger import ShardLedger, finished_shard
from scenegen.shards.merge import merge
from scenegen.shards.spool import finished_scenes
from scenegen.shards.writer import assemble_shard
from scenegen.verify.views import verify_dataset


@dataclass
class Cluster:
    """The simulated cluster. made: how often each scene was made to the end. lost: scenes that died half-way."""

    root: Root
    num_scenes: int
    scenes_per_shard: int
    workers: int
    death_rate: float
    rng: np.random.Generator
    made: dict[int, int] = field(default_factory=dict)
    lost: int = 0
    assembled: dict[int, int] = field(default_factory=dict)

    def run(self) -> int:
        """Let all workers work until everything is finished; the number of moments that took."""
        self.config = tiny_config(self.num_scenes, self.scenes_per_shard)
        asleep = np.zeros(self.workers, int)
        busy: dict[int, tuple[int, int]] = {}
        for moment in range(10_000):
            if len(self.assembled) == self.config.num_shards:
                return moment
            for worker in self.rng.permutation(self.workers):
                if asleep[worker]:
                    asleep[worker] -= 1
                elif self._dies(worker, busy):
                    asleep[worker] = self.rng.integers(1, 6)
                else:
                    self._work(int(worker), busy)
        raise AssertionError("it never ends")

    def _dies(self, worker: int, busy: dict[int, tuple[int, int]]) -> bool:
        dies = self.rng.random() < self.death_rate
        if dies and worker in busy:
            self.lost += 1
            del busy[worker]
        return dies

    def _work(self, worker: int, busy: dict[int, tuple[int, int]]) -> None:
        """Finish the scene in hand, then take the next one; one moment a scene."""
        if worker in busy:
            shard, scene = busy.pop(worker)
            if finished_shard(self.root, self.config, shard) is None:
                spool_scene(self.root, self.config, scene)
            self.made[scene] = self.made.get(scene, 0) + 1
        for shard in Assignment(worker, self.workers, "simulation").shards(self.config.num_shards):
            if shard in self.assembled:
                continue
            missing = sorted(set(self.config.shard_scenes(shard)) - finished_scenes(self.root, shard))
            if missing:
                busy[worker] = (shard, missing[0])
                return
            result = assemble_shard(self.root, self.config, meta_of(self.config), shard)
            assert isinstance(result, ShardLedger)
            self.assembled[shard] = self.assembled.get(shard, 0) + 1


def check(cluster: Cluster) -> float:
    """The share of scenes that were begun in vain, once everything is found complete and good."""
    cluster.run()
    config = cluster.config
    ledgers = [finished_shard(cluster.root, config, shard) for shard in range(config.num_shards)]
    merge(cluster.root, config, [ledger for ledger in ledgers if ledger])
    assert [*verify_dataset(cluster.root, config, meta_of(config))] == []
    assert sorted(cluster.made) == [*range(config.num_scenes)]
    assert set(cluster.assembled.values()) == {1}
    waste = (sum(cluster.made.values()) - config.num_scenes + cluster.lost) / config.num_scenes
    assert waste <= 2 * cluster.death_rate / (1 - cluster.death_rate)
    return waste


def test_forty_dying_workers_make_every_scene_once(tmp_path: Path):
    check(Cluster(Root.open(tmp_path), 90, 2, 40, 0.1, np.random.default_rng(0)))


@pytest.mark.slow
def test_a_thousand_dying_workers_make_eleven_hundred_shards_once(tmp_path: Path):
    check(Cluster(Root.open(tmp_path), 3300, 3, 1000, 0.1, np.random.default_rng(0)))
