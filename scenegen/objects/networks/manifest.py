"""What is known of each feature extractor without loading it: assets_manifest/extractors.jsonl."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scenegen.annotate.weights import Weights, read_manifest, require
from scenegen.errors import UsageError

MANIFEST = Path(__file__).parents[3] / "assets_manifest" / "extractors.jsonl"
OFFLINE = "efficientnet_lite0"
FEATURE_RULE = 1
"""Version of the extractors and the projection: raise it when features change, so that older files are remade."""


@dataclass(frozen=True, slots=True)
class ExtractorRecord:
    """One line of the manifest.

    channels: C of the features. image_px: side of the images that the network gets. For the rest see EstimatorRecord.
    """

    name: str
    title: str
    channels: int
    image_px: int
    hub_id: str
    revision: str
    config_files: tuple[str, ...]
    weights_files: tuple[str, ...]
    megabytes: int
    sha256: str
    package: str
    code_licence: str
    weights_licence: str
    commercial_use: bool

    @property
    def needs_weights(self) -> bool:
        return bool(self.weights_files)


def read_extractors(path: Path = MANIFEST) -> dict[str, ExtractorRecord]:
    """Name to record. Raises SceneGenError naming the first line that is not a record."""
    return {record.name: record for record in read_manifest(path, ExtractorRecord, "an extractor")}


def choose_extractor(name: str) -> ExtractorRecord:
    """The record of that name. Raises UsageError if there is none."""
    records = read_extractors()
    if name not in records:
        raise UsageError(f"there is no feature extractor {name!r}; choose from {', '.join(records)}")
    return records[name]


def require_extractor(record: ExtractorRecord, overrides: Mapping[str, str] | None = None) -> Weights | None:
    """Find the weights on this machine; None for an extractor that brings its own. Cheap; called before any work.

    Raises MissingWeightsError naming what is missing, its size, how to get it, and what to choose instead.
    """
    advice = (
        f"Or choose --extractor {OFFLINE}: a small ImageNet classifier whose weights come with a package. "
        "Networks trained with one extractor's features cannot use another's."
    )
    return require([record], overrides, "the voxel features cannot be extracted", advice).get(record.name)
