"""What is known of each estimator without loading it: assets_manifest/estimators.jsonl."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scenegen.annotate.weights import read_manifest
from scenegen.contract.sidecar import GROUND_TRUTH, AlignmentKind, EstimatorMeta, Kind, check_kind
from scenegen.errors import UsageError

MANIFEST = Path(__file__).parents[2] / "assets_manifest" / "estimators.jsonl"
SIMULATED = "simulated"


@dataclass(frozen=True, slots=True)
class EstimatorRecord:
    """One line of the manifest.

    kind, metric, alignment, confidence_threshold: see scenegen.contract.sidecar. hub_id, revision: of the weights on
    the Hugging Face hub; empty if there are none. config_files: files that must be beside the weights. weights_files:
    names that the weights may have, the preferred one first. megabytes: size of the weights. sha256: of the weights
    file; empty if its publisher may change it. package: what must be installed besides torch; empty for nothing.
    code_licence, weights_licence: SPDX ids or LicenseRef-. commercial_use: whether the weights allow it.
    """

    name: str
    title: str
    kind: Kind
    metric: bool
    alignment: AlignmentKind
    confidence_threshold: float | None
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

    def __post_init__(self) -> None:
        check_kind(self.kind, self.alignment)

    @property
    def needs_weights(self) -> bool:
        return bool(self.weights_files)

    def meta(self, revision: str, weights_sha256: str, settings: Mapping[str, Any], weights_id: str) -> EstimatorMeta:
        """The metadata of its sidecars. revision, weights_sha256, weights_id: of the weights that were loaded."""
        return EstimatorMeta(
            estimator=self.name,
            kind=self.kind,
            metric=self.metric,
            alignment=self.alignment,
            weights_id=weights_id,
            revision=revision,
            weights_sha256=weights_sha256,
            code_licence=self.code_licence,
            weights_licence=self.weights_licence,
            commercial_use=self.commercial_use,
            confidence_threshold=self.confidence_threshold,
            settings=dict(settings),
        )


def read_estimators(path: Path = MANIFEST) -> dict[str, EstimatorRecord]:
    """Name to record, in the manifest's order. Raises SceneGenError naming the first line that is not a record."""
    return {record.name: record for record in read_manifest(path, EstimatorRecord, "an estimator")}


def choose_estimators(names: str) -> list[EstimatorRecord]:
    """The records of a comma-separated list, in its order. Raises UsageError for a name that is not an estimator."""
    known = read_estimators()
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    if not wanted:
        raise UsageError(f"--estimators is empty; choose from {', '.join(known)}")
    if GROUND_TRUTH in wanted:
        raise UsageError(
            "gt is the exact depth of the views themselves and needs no sidecar: readers ask for "
            f'dataset.depth_estimate(i, "gt"). Take it off the list, or choose from {", ".join(known)}'
        )
    for name in wanted:
        if name not in known:
            raise UsageError(f"there is no estimator {name!r}; choose from {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(wanted)]
