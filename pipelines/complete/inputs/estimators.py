"""Published depth estimators: which exist, where their weights are, and their depth of an image.

The networks are in models/depth_estimators, and the facts about each in assets_manifest/estimators.jsonl. Datasets are
annotated with the same networks and facts.

Shapes: H W image.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from models.depth_estimators.protocol import DepthEstimator
from models.depth_estimators.registry import load_depth_estimator
from pipelines.complete.compute_device import ComputeDevice
from pipelines.complete.view import Camera
from pipelines.errors import PipelineError, UsageError

MANIFEST = Path(__file__).parents[3] / "assets_manifest" / "estimators.jsonl"
MOGE2 = "moge2"


@dataclass(frozen=True)
class EstimatorFacts:
    """The fields of a line of the manifest that are used here.

    kind: "depth" or "inverse_depth".
    metric: the depth is in metres.
    confidence_threshold: pixels with less confidence are not used.
    weights_files: names that the weights may have, the preferred first. config_files: files that belong beside them.
    """

    name: str
    kind: str
    metric: bool
    confidence_threshold: float | None
    hub_id: str
    revision: str
    config_files: tuple[str, ...]
    weights_files: tuple[str, ...]
    megabytes: int
    weights_licence: str
    commercial_use: bool

    @property
    def gives_points(self) -> bool:
        """Not so for inverse depth up to scale and shift: it gives no surface, whatever the scale."""
        return self.kind == "depth" and bool(self.weights_files)


@dataclass(frozen=True)
class EstimatedDepth:
    """depth_HW: float32 planar depth, NaN where there is none; in metres if the estimator is metric, else up to scale.

    camera: the known one, or one with the focal length that the estimator found.
    """

    depth_HW: np.ndarray
    camera: Camera


def known_estimators() -> dict[str, EstimatorFacts]:
    """All estimators of the manifest, by name."""
    return {one.name: one for one in _records()}


def choose_estimator(name: str) -> EstimatorFacts:
    """Raises UsageError for an unknown name, or an estimator whose maps give no points."""
    known = known_estimators()
    usable = ", ".join(one.name for one in known.values() if one.gives_points)
    if name not in known:
        raise UsageError(f"there is neither a depth file nor an estimator {name!r}; give a file, or one of {usable}")
    if known[name].kind == "inverse_depth":
        raise UsageError(
            f"{name} gives inverse depth up to an unknown scale and shift, from which no points follow; take {usable}, "
            "a depth file, or a dataset's sidecar of it (--shards), which is aligned"
        )
    if not known[name].gives_points:
        raise UsageError(f"{name} is an error model for datasets and sees no images; take {usable}, or a depth file")
    return known[name]


def find_weights(facts: EstimatorFacts, given: Path | None) -> Path:
    """The weights: the given file, or a file in the given folder or the Hugging Face cache. Nothing is downloaded.

    Raises UsageError, which names what is missing, its size and licence, and how to get it.
    """
    if given is not None and given.is_file():
        return given
    folder = given or _snapshot(facts)
    if folder is not None and all((folder / name).is_file() for name in facts.config_files):
        for name in facts.weights_files:
            if (folder / name).is_file():
                return folder / name
    wanted = " or ".join(facts.weights_files)
    if facts.config_files:
        wanted += f" with {' and '.join(facts.config_files)}"
    if given is not None:
        raise UsageError(f"{given} holds no weights of {facts.name}: expected {wanted}")
    revision = "" if facts.revision == "main" else f" --revision {facts.revision}"
    raise UsageError(
        f"the weights of {facts.name} are not here ({facts.hub_id}, about {facts.megabytes} MB, licence "
        f"{facts.weights_licence}): run hf download {facts.hub_id}{revision}, or put {wanted} in a folder and give "
        "--depth-weights FOLDER. From a file fixer-complete --depth FILE takes depth without weights"
    )


@dataclass(frozen=True)
class LoadedEstimator:
    """An estimator with its weights, for any number of images."""

    facts: EstimatorFacts
    network: DepthEstimator
    compute: ComputeDevice

    @classmethod
    def load(cls, name: str, weights: Path | None, compute: ComputeDevice) -> LoadedEstimator:
        """weights: see `find_weights`. Raises UsageError and CheckpointError."""
        facts = choose_estimator(name)
        return cls(facts, load_depth_estimator(name, find_weights(facts, weights)), compute)

    def __call__(self, rgb_HW3: np.ndarray, camera: Camera | None) -> EstimatedDepth:
        """camera: if it is known, its focal length is used. Raises PipelineError if no focal length is found."""
        known_focal = None if camera is None else float(camera.K_px[0, 0])
        with self.compute.using(self.network.network):
            (found,) = self.network([rgb_HW3], known_focal)
        valid_HW = np.isfinite(found.map_HW) & (found.map_HW > 0)
        if found.confidence_HW is not None and self.facts.confidence_threshold is not None:
            valid_HW &= found.confidence_HW > self.facts.confidence_threshold
        if camera is None and found.focal_px is None:
            raise PipelineError(
                f"{self.facts.name} found no focal length in this image; say the field of view: "
                "fixer-complete --fov-deg DEGREES"
            )
        height, width = rgb_HW3.shape[:2]
        depth_HW = np.where(valid_HW, found.map_HW, np.nan).astype(np.float32)
        return EstimatedDepth(depth_HW, camera or Camera.from_focal(found.focal_px or 1.0, (width, height)))


LoadEstimator = Callable[[str, Path | None, ComputeDevice], LoadedEstimator]
"""As LoadedEstimator.load, or one that remembers what it has loaded."""


def _records() -> Iterator[EstimatorFacts]:
    names = [one.name for one in fields(EstimatorFacts)]
    for line in MANIFEST.read_text().splitlines():
        raw: dict[str, Any] = json.loads(line)
        raw |= {name: tuple(raw[name]) for name in ("config_files", "weights_files")}
        yield EstimatorFacts(**{name: raw[name] for name in names})


def _snapshot(facts: EstimatorFacts) -> Path | None:
    """The folder of the repository in the local cache of the hub, without a request to the network."""
    if find_spec("huggingface_hub") is None:
        return None
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(facts.hub_id, revision=facts.revision, local_files_only=True))
    except (OSError, ValueError):
        return None
