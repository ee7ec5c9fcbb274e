"""config.json: what a dataset folder was begun with. A run with anything else is refused, with the difference."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from scenegen.config import DatasetConfig, config_diff
from scenegen.contract.dataset import how_to_make
from scenegen.contract.schema import ShardMeta
from scenegen.contract.storage import Root
from scenegen.errors import CannotStoreError, SceneGenError, UsageError

CONFIG_NAME = "config.json"


@dataclass(frozen=True, slots=True)
class StoredConfig:
    """What config.json holds.

    assets_digest: sha256 over the manifests' records that the configuration selects; "" if it is not known.
    preset: the one that the dataset was begun with; stages after rendering take its defaults when it is resumed. "" if
    it is not known.
    """

    config: DatasetConfig
    meta: ShardMeta
    assets_digest: str
    preset: str = ""

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=1, sort_keys=True) + "\n"

    def to_dict(self) -> dict[str, Any]:
        return {
            "config": self.config.to_dict(),
            "meta": dataclasses.asdict(self.meta),
            "assets_digest": self.assets_digest,
            "preset": self.preset,
        }

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> "StoredConfig":
        parts = DatasetConfig.from_dict(raw["config"]), ShardMeta(**raw["meta"]), raw["assets_digest"]
        return cls(*parts, raw.get("preset", ""))


def read_config(root: Root) -> StoredConfig | None:
    """What the folder was begun with, None for a new one. Raises SceneGenError if it cannot be understood."""
    try:
        return StoredConfig.from_dict(json.loads(root.read_bytes(CONFIG_NAME)))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise SceneGenError(
            f"{root.location}/{CONFIG_NAME} cannot be read ({error}); it is of another version or damaged. "
            "Choose another --out"
        ) from None


def require_config(root: Root) -> StoredConfig:
    """Like `read_config`, but a folder without a dataset is an error. Raises SceneGenError."""
    stored = read_config(root)
    if stored is None:
        raise SceneGenError(f"{root.location} holds no dataset; make one with: {how_to_make(root)}")
    return stored


def refuse_other_dataset(root: Root, wanted: StoredConfig) -> StoredConfig | None:
    """Make sure that the place is empty or holds the dataset that is wanted; writes nothing.

    Returns what the place was begun with, None for an empty one.
    Raises UsageError with the differences, CannotStoreError if the place cannot be looked at.
    """
    try:
        stored = read_config(root)
        if stored is None:
            _refuse_strangers(root)
            return None
    except OSError as error:
        raise CannotStoreError(root.location, error) from error
    before, after = _comparable(stored), _comparable(wanted)
    differences = [*config_diff(before, after)]
    if differences:
        raise UsageError(
            f"{root.location} was made with another config ({', '.join(differences)}).\n"
            "Choose another --out, or render with the stored config: "
            f"scenegen render --out {root.location} --resume-config"
        )
    return stored


def begin_dataset(root: Root, wanted: StoredConfig) -> None:
    """Store what the dataset is begun with, unless it was begun before.

    Raises CannotStoreError if nothing can be written, UsageError if somebody else has begun another dataset there since
    `refuse_other_dataset` was asked.
    """
    if refuse_other_dataset(root, wanted) is not None:
        return
    try:
        root.write_bytes(CONFIG_NAME, wanted.to_json().encode())
    except OSError as error:
        raise CannotStoreError(root.location, error) from error


def _comparable(stored: StoredConfig) -> dict[str, Any]:
    """As JSON gives it back, without what follows from the rest. A newer code version may resume an older dataset."""
    raw = json.loads(stored.to_json())
    meta = {
        key: value
        for key, value in raw["meta"].items()
        if key not in ("config_digest", "dataset_seed", "code_version", "transparent")
    }
    return {**raw["config"], **meta, "assets_digest": raw["assets_digest"][:12]}


def _refuse_strangers(root: Root) -> None:
    strangers = [name for name in root.list() if name.endswith(".parquet")]
    if strangers:
        raise UsageError(
            f"{root.location} holds {strangers[0]} but no {CONFIG_NAME}, so it is not a dataset of ours; "
            "choose another --out"
        )
