"""A finished dataset of a few scenes with everything that may lie beside the views."""

from pathlib import Path

from object_rows import write_tables
from shards_rows import meta_of, spool_scene, tiny_config
from test_sidecar import META as ESTIMATOR
from test_sidecar import estimate_of

from scenegen.contract.dataset import Dataset
from scenegen.contract.sidecar import encode_estimate
from scenegen.contract.storage import Root
from scenegen.shards.config_file import StoredConfig, begin_dataset
from scenegen.shards.merge import merge
from scenegen.shards.sidecars import sidecar_files, write_sidecar
from scenegen.shards.writer import assemble_shard

CONFIG = tiny_config()  # 5 scenes of 2 views, 2 scenes in a shard


def write_dataset(folder: Path) -> None:
    root = Root.open(folder)
    begin_dataset(root, StoredConfig(CONFIG, meta_of(CONFIG), ""))
    for scene in range(CONFIG.num_scenes):
        spool_scene(root, CONFIG, scene)
    ledgers = [assemble_shard(root, CONFIG, meta_of(CONFIG), shard) for shard in range(CONFIG.num_shards)]
    write_tables(folder)
    views = iter([*map(Dataset.open(folder).view, range(10))])
    for file in sidecar_files(root, ESTIMATOR.estimator):
        count = 4 if file.shard < 2 else 2
        write_sidecar(root, file, ESTIMATOR, (encode_estimate(estimate_of(next(views)), 0.8) for _ in range(count)))
    merge(root, CONFIG, ledgers)
