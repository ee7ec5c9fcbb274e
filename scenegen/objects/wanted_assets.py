"""Which assets the objects tables hold: those that a dataset's scenes use, all of its stores, or all of any stores."""

from dataclasses import dataclass, replace

from scenegen.config import AssetsConfig, DatasetConfig, preset
from scenegen.contract.dataset import Dataset, how_to_make
from scenegen.contract.storage import Root
from scenegen.errors import SceneGenError, UsageError
from scenegen.scenes.factory import open_library
from scenegen.shards.config_file import StoredConfig, read_config
from scenegen.shards.ledger import finished_shards

USED, ALL = "used", "all"


class ScenesMissingError(SceneGenError):
    """Not all scenes are made yet, so that it is not known which assets they use."""


@dataclass(frozen=True, slots=True)
class WantedAssets:
    """sha256_of_uid: the assets. config: says in which stores they are, and how their scenes are rendered."""

    sha256_of_uid: dict[str, str]
    config: DatasetConfig


def wanted_assets(root: Root, which: str) -> WantedAssets:
    """The assets to make tables of.

    which: "used" for those in the scenes of the finished dataset at `root`; "all" for every asset of the stores that
    its config selects; or a comma-separated list of stores ("starter", folders made by `scenegen assets prepare`),
    which needs no dataset.
    Raises UsageError for what is no store, ScenesMissingError for "used" while scenes are missing.
    """
    if which not in (USED, ALL):
        config = replace(preset("arsg", 1), assets=AssetsConfig(objects=tuple(which.split(",")), split="all"))
        return WantedAssets(_all_of(config), config)
    config = dataset_of_assets(root).config
    return WantedAssets(_used_by(root, config) if which == USED else _all_of(config), config)


def dataset_of_assets(root: Root) -> StoredConfig:
    """The stored configuration of the dataset at `root`. Raises UsageError if there is none."""
    stored = read_config(root)
    if stored is None:
        raise UsageError(
            f"{root.location} holds no dataset whose assets could be taken; make one with: {how_to_make(root)}\n"
            f"Or make objects of stores alone: scenegen objects --data {root.location} --assets starter"
        )
    return stored


def _all_of(config: DatasetConfig) -> dict[str, str]:
    return {uid: record.sha256 for uid, record in open_library(config).records.items()}


def _used_by(root: Root, config: DatasetConfig) -> dict[str, str]:
    finished = len(finished_shards(root, config, range(config.num_shards)))
    if finished < config.num_shards:
        raise ScenesMissingError(
            f"{finished} of {config.num_shards} shards of {root.location} are finished, and objects are made of what "
            f"all scenes use. When all are there: scenegen objects --data {root.location}\n"
            "To begin at once with every asset of the stores, used or not: "
            f"scenegen objects --data {root.location} --assets all"
        )
    used = used_assets(root)
    if not used:
        raise SceneGenError(
            f"the scenes of {root.location} show no object at all; all of them failed. "
            f"See: scenegen status --data {root.location}"
        )
    return used


def used_assets(root: Root) -> dict[str, str]:
    """sha256 of every asset that the finished scenes show. Raises FileNotFoundError if there is no scene."""
    return {o.asset_uid: o.asset_sha256 for scene in Dataset.open(root.location).scenes() for o in scene.objects}
