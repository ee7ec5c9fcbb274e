"""The errors of the estimators' maps over a dataset, read from the sidecars' scalar columns."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scenegen.contract.dataset import Dataset
from scenegen.contract.sidecar import sidecar_table
from scenegen.contract.storage import Root

_COLUMNS = ["abs_rel", "delta1", "valid_share", "metric_abs_rel"]


@dataclass(frozen=True, slots=True)
class EstimatorErrors:
    """One estimator's errors over the views of a dataset; every view has the same weight.

    views: number of sidecar rows. aligned: how many of them could be aligned. abs_rel, delta1: means after alignment.
    median_abs_rel: median over views. metric_abs_rel: mean without alignment, None for maps that are not metric.
    instance_abs_rel: mean over instances, each after its own scale.
    """

    estimator: str
    views: int
    aligned: int
    valid_share: float
    abs_rel: float
    median_abs_rel: float
    delta1: float
    metric_abs_rel: float | None
    instance_abs_rel: float


def estimator_errors(dataset: Dataset, estimator: str) -> EstimatorErrors:
    """Read the errors of one estimator. Raises ValueError if the dataset has no sidecar of it."""
    table = dataset.table(sidecar_table(estimator), [*_COLUMNS, "instances"])
    columns = {name: table[name].to_numpy().astype(np.float64) for name in _COLUMNS}
    instances = [one["abs_rel"] for row in table["instances"].to_pylist() for one in row]
    aligned = np.isfinite(columns["abs_rel"])
    metric = columns["metric_abs_rel"][np.isfinite(columns["metric_abs_rel"])]

    def mean(values: np.ndarray) -> float:
        return float(values.mean()) if len(values) else float("nan")

    good = columns["abs_rel"][aligned]
    return EstimatorErrors(
        estimator,
        len(aligned),
        int(aligned.sum()),
        mean(columns["valid_share"]),
        mean(good),
        float(np.median(good)) if len(good) else float("nan"),
        mean(columns["delta1"][aligned]),
        mean(metric) if len(metric) else None,
        mean(np.array(instances)),
    )


def error_table(root: Root, estimators: Sequence[str]) -> str:
    """A table for people with one line for each estimator; those without a sidecar are left out."""
    dataset = Dataset.open(root.location)
    there = set(dataset.estimators(complete=False))
    titles = "".join(f"{title:>10}" for title in ("AbsRel", "median", "delta1", "object"))
    lines = [f"{'estimator':24}{'views':>8}{'valid':>8}{titles}{'unaligned':>11}"]
    for name in estimators:
        if name in there:
            e = estimator_errors(dataset, name)
            unaligned = "-" if e.metric_abs_rel is None else f"{e.metric_abs_rel:.4g}"
            figures = (e.abs_rel, e.median_abs_rel, e.delta1, e.instance_abs_rel)
            columns = "".join(f"{figure:10.4g}" for figure in figures)
            lines.append(f"{name:24}{e.views:8}{100 * e.valid_share:7.1f}%{columns}{unaligned:>11}")
    return "\n".join(lines)
