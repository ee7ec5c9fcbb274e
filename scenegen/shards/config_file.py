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
    """assets_digest: of the manifests' records that the configuration selects; "" when not known.

    preset: that it was begun with, whose defaults the stages after rendering take when it is resumed; "" if unknown.
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


def begin(root: Root, wanted: StoredConfig) -> None:
    """Store what the dataset is begun with, unless that is done. Raises CannotStoreError if nothing can be written."""
    try:
        if read_config(root) is None:
            root.write_bytes(CONFIG_NAME, wanted.to_json().encode())
    except OSError as error:
        raise CannotStoreError(root.location, error) from error


def refuse_other(root: Root, wanted: StoredConfig) -> None:
    """Make sure that the place is empty or holds the dataset that is wanted; writes nothing.

    Raises UsageError with the differences, CannotStoreError if the place cannot be looked at.
    """
    try:
        stored = read_config(root)
        if stored is None:
            _refuse_strangers(root)
            return
    except OSError as error:
        raise CannotStoreError(root.location, error) from error
    differences = [*config_diff(_comparable(stored), _comparable(wanted))]
    if differences:
        raise UsageError(
            f"{root.location} was made with another config ({', '.join(differences)}).\n"
            "Choose another --out, or render with the stored config: "
            f"scenegen render --out {root.location} --resume-config"
        )


def _comparable(stored: StoredConfig) -> dict[str, Any]:
    """As JSON gives it back, without what follows from the rest; a newer code version alone may go on."""
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
