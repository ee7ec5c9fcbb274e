"""Sidecar shards: one depth estimator's maps for the views of a shard, with its alignment to the ground truth.

`depth_moge2-00017-of-01100.parquet` has the rows of `views-00017-of-01100.parquet`, in their order, one row a row
group. Adding an estimator rewrites nothing. A change here is a change of the format: raise SIDECAR_VERSION.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa

from scenegen.contract import codecs
from scenegen.contract.fields import one_row
from scenegen.contract.sidecar_columns import CONFIDENCE_CODES, FAR_M, MAP_CODES, SIDECAR_FIELDS

SIDECAR_VERSION = 1
PREFIX = "depth_"
GROUND_TRUTH = "gt"
"""The name under which readers ask for the exact depth of the views; there is no file of it."""

Kind = Literal["depth", "inverse_depth"]
AlignmentKind = Literal["scale", "scale_shift", "inverse_scale_shift"]


@dataclass(frozen=True, slots=True)
class Alignment:
    """How a map is converted to depth in metres; fitted to the ground truth of its image.

    scale: depth = scale * map. scale_shift: depth = scale * map + shift.
    inverse_scale_shift: 1 / depth = scale * map + shift, for maps of inverse depth; nothing beyond FAR_M.
    inlier_share: share of the common pixels that are inliers of the robust fit.
    """

    kind: AlignmentKind
    scale: float
    shift: float = 0.0
    inlier_share: float = 1.0

    def apply(self, estimate: np.ndarray) -> np.ndarray:
        """(H, W) map to (H, W) float32 planar depth in metres, NaN where it is invalid or not positive."""
        line = self.scale * estimate.astype(np.float64) + self.shift
        with np.errstate(divide="ignore", invalid="ignore"):
            depth = np.where(line > 1.0 / FAR_M, 1.0 / line, np.nan) if self.kind == "inverse_scale_shift" else line
            return np.where(depth > 0, depth, np.nan).astype(np.float32)


@dataclass(frozen=True, slots=True)
class DepthErrors:
    """Errors over the pixels where both estimate and ground truth are valid.

    abs_rel: mean of |depth - truth| / truth. delta1: share of pixels with max(depth / truth, truth / depth) < 1.25.
    """

    abs_rel: float
    delta1: float


@dataclass(frozen=True, slots=True)
class InstanceAlignment:
    """The scale that also puts one instance at its true depth: depth = scale * (depth after the image's alignment).

    fitted_px: pixels of its mask's interior that the fit used. errors: over them, after this scale.
    """

    instance_id: int
    scale: float
    fitted_px: int
    errors: DepthErrors


@dataclass(frozen=True, slots=True)
class DepthEstimate:
    """One decoded row of a sidecar; or, with estimator "gt", the exact depth in the same form.

    map: (H, W) float32 as the estimator gave it, at the view's size, NaN where it gave nothing. kind "depth": planar
    depth, in metres when `metric`, else up to the alignment. kind "inverse_depth": 1 / depth up to scale and shift;
    never use it as depth.
    confidence: (H, W) float32 or None; larger is surer, in the estimator's own unit.
    confidence_threshold: what its authors take for usable. alignment: None when nothing could be fitted.
    errors: after the image's alignment. metric_errors: of a metric map as it is.
    focal_px: the model's own guess of the horizontal focal length, for the view's size.
    source_views: other views of the scene that the estimator got. variant: what was drawn for this row, such as a
    severity; empty if nothing.
    """

    scene_index: int
    view_index: int
    estimator: str
    kind: Kind
    metric: bool
    map: np.ndarray
    confidence: np.ndarray | None = None
    confidence_threshold: float | None = None
    alignment: Alignment | None = None
    errors: DepthErrors | None = None
    metric_errors: DepthErrors | None = None
    instances: tuple[InstanceAlignment, ...] = ()
    focal_px: float | None = None
    source_views: tuple[int, ...] = ()
    variant: str = ""

    @property
    def valid(self) -> np.ndarray:
        """(H, W) bool: the estimator gave a value, with enough confidence if it states any."""
        finite = np.isfinite(self.map)
        if self.confidence is None or self.confidence_threshold is None:
            return finite
        return finite & (np.nan_to_num(self.confidence) > self.confidence_threshold)

    @property
    def aligned_m(self) -> np.ndarray:
        """(H, W) float32 planar depth in metres after the image's alignment, NaN where there is none."""
        if self.alignment is None:
            return np.full(self.map.shape, np.nan, np.float32)
        return self.alignment.apply(self.map)

    def aligned_to_instance_m(self, instance_id: int) -> np.ndarray:
        """Like `aligned_m`, scaled so that one instance lies at its true depth.

        Raises KeyError for an instance that is not aligned: too few of its pixels are seen or estimated.
        """
        for one in self.instances:
            if one.instance_id == instance_id:
                return self.aligned_m * np.float32(one.scale)
        raise KeyError(
            f"instance {instance_id} of scene {self.scene_index}, view {self.view_index} is not aligned by "
            f"{self.estimator}; aligned are {[one.instance_id for one in self.instances]}"
        )


@dataclass(frozen=True, slots=True)
class EstimatorMeta:
    """What is true for every row of a sidecar; stored as key-value metadata of the file.

    weights_id: hub id, or the name of what made the maps without weights. revision: of the weights. weights_sha256:
    of the file that was loaded, or empty. settings: what else decides the maps (seed, severity, number of views).
    """

    estimator: str
    kind: Kind
    metric: bool
    alignment: AlignmentKind
    weights_id: str
    revision: str
    weights_sha256: str
    code_licence: str
    weights_licence: str
    commercial_use: bool
    confidence_threshold: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def to_metadata(self, config_digest: str) -> dict[str, str]:
        """config_digest: of the dataset that the views belong to."""
        values = {key: value if isinstance(value, str) else json.dumps(value) for key, value in asdict(self).items()}
        return {"sidecar_version": str(SIDECAR_VERSION), "config_digest": config_digest, **values}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> "EstimatorMeta":
        """Raises ValueError if this is not a sidecar's metadata, or one of another version."""
        if metadata.get("sidecar_version") != str(SIDECAR_VERSION):
            raise ValueError(
                f"sidecar version {metadata.get('sidecar_version', 'none')} is not {SIDECAR_VERSION}; "
                "make the sidecar again with: scenegen annotate"
            )
        coded = ("metric", "commercial_use", "confidence_threshold", "settings")
        try:
            values: dict[str, Any] = {key: metadata[key] for key in cls.__slots__}
        except KeyError as error:
            raise ValueError(f"the sidecar's metadata does not say {error}") from None
        return cls(**{key: json.loads(value) if key in coded else value for key, value in values.items()})


def sidecar_table(estimator: str) -> str:
    """The table's name in shard file names."""
    return PREFIX + estimator


def sidecar_schema(meta: EstimatorMeta | None = None, config_digest: str = "") -> pa.Schema:
    """The schema of a sidecar; with `meta`, with its file metadata."""
    return pa.schema(SIDECAR_FIELDS, metadata=meta.to_metadata(config_digest) if meta else None)


def encode_estimate(estimate: DepthEstimate, valid_share: float) -> pa.RecordBatch:
    """One row of a sidecar. Raises ValueError for a map that its kind does not allow."""
    height, width = estimate.map.shape
    coded, offset, step = _encode(estimate.map, MAP_CODES, logarithmic=estimate.kind == "depth")
    confidence: tuple[bytes | None, float | None, float | None] = (None, None, None)
    if estimate.confidence is not None:
        confidence = _encode(estimate.confidence, CONFIDENCE_CODES, logarithmic=True)
    alignment, errors, metric = estimate.alignment, estimate.errors, estimate.metric_errors
    row = {
        "scene_index": estimate.scene_index,
        "view_index": estimate.view_index,
        "width": width,
        "height": height,
        "map": coded,
        "map_offset": offset,
        "map_step": step,
        "confidence": confidence[0],
        "confidence_offset": confidence[1],
        "confidence_step": confidence[2],
        "align_kind": alignment and alignment.kind,
        "align_scale": alignment and alignment.scale,
        "align_shift": alignment and alignment.shift,
        "align_inlier_share": alignment and alignment.inlier_share,
        "valid_share": valid_share,
        "abs_rel": errors and errors.abs_rel,
        "delta1": errors and errors.delta1,
        "metric_abs_rel": metric and metric.abs_rel,
        "metric_delta1": metric and metric.delta1,
        "focal_px": estimate.focal_px,
        "source_views": list(estimate.source_views),
        "variant": estimate.variant,
        "instances": [_instance_row(one) for one in estimate.instances],
    }
    return one_row(row, sidecar_schema())


def decode_estimate(row: Mapping[str, Any], meta: EstimatorMeta) -> DepthEstimate:
    """A row of a sidecar (as Python values) to a DepthEstimate."""
    size = (row["height"], row["width"])
    confidence = None
    if row["confidence"] is not None:
        parts = row["confidence"], row["confidence_offset"], row["confidence_step"]
        confidence = _decode(*parts, *size, logarithmic=True)
    alignment = None
    if row["align_kind"] is not None:
        alignment = Alignment(row["align_kind"], row["align_scale"], row["align_shift"], row["align_inlier_share"])
    return DepthEstimate(
        scene_index=row["scene_index"],
        view_index=row["view_index"],
        estimator=meta.estimator,
        kind=meta.kind,
        metric=meta.metric,
        map=_decode(row["map"], row["map_offset"], row["map_step"], *size, logarithmic=meta.kind == "depth"),
        confidence=confidence,
        confidence_threshold=meta.confidence_threshold,
        alignment=alignment,
        errors=_errors(row["abs_rel"], row["delta1"]),
        metric_errors=_errors(row["metric_abs_rel"], row["metric_delta1"]),
        instances=tuple(_instance(one) for one in row["instances"]),
        focal_px=row["focal_px"],
        source_views=tuple(row["source_views"]),
        variant=row["variant"],
    )


def ground_truth_estimate(
    scene_index: int, view_index: int, depth_m: np.ndarray, instance_ids: Sequence[int]
) -> DepthEstimate:
    """The exact depth of a view, (H, W) metres, as an estimate with scale 1 and no error."""
    exact = DepthErrors(0.0, 1.0)
    return DepthEstimate(
        scene_index,
        view_index,
        GROUND_TRUTH,
        "depth",
        True,
        depth_m,
        alignment=Alignment("scale", 1.0),
        errors=exact,
        metric_errors=exact,
        instances=tuple(InstanceAlignment(i, 1.0, 0, exact) for i in instance_ids),
    )


def check_kind(kind: str, alignment: str) -> None:
    """Raises ValueError if a map of this kind cannot have this kind of alignment."""
    if kind not in get_args(Kind) or alignment not in get_args(AlignmentKind):
        raise ValueError(f"there is no kind {kind!r} with alignment {alignment!r}")
    if (kind == "inverse_depth") != (alignment == "inverse_scale_shift"):
        raise ValueError(f"a map of {kind} cannot be aligned by {alignment}: inverse depth is aligned as such")


def _encode(values: np.ndarray, codes: int, logarithmic: bool) -> tuple[bytes, float, float]:
    """(H, W) floats, NaN invalid, to (planes, offset, step) with codes 1 to `codes`, 0 invalid."""
    valid = ~np.isnan(values)
    code = np.zeros(values.shape, np.uint16)
    if not valid.any():
        return codecs.encode_planes(code), 0.0, 0.0
    stored = values[valid].astype(np.float64)
    if not np.isfinite(stored).all() or (stored.min() <= 0 if logarithmic else stored.min() < 0):
        low, high = stored.min(), stored.max()
        raise ValueError(f"a map spans {low} to {high}; give positive finite values, NaN where there is none")
    if logarithmic:
        stored = np.log(stored)
    low, high = float(stored.min()), float(stored.max())
    step = max(high - low, 1e-9) / (codes - 1)
    code[valid] = np.rint((stored - low) / step) + 1
    return codecs.encode_planes(code), low - step, step


def _decode(blob: bytes, offset: float, step: float, height: int, width: int, logarithmic: bool) -> np.ndarray:
    code = codecs.decode_planes(blob, height, width)
    # A look-up table, so that decoding needs no exponential for each pixel.
    table = offset + step * np.arange(int(code.max()) + 1)
    table = (np.exp(table) if logarithmic else table).astype(np.float32)
    table[0] = np.nan
    return codecs.looked_up(table, code)


def _errors(abs_rel: float | None, delta1: float | None) -> DepthErrors | None:
    return None if abs_rel is None or delta1 is None else DepthErrors(abs_rel, delta1)


def _instance_row(one: InstanceAlignment) -> dict[str, Any]:
    return {
        "instance_id": one.instance_id,
        "scale": one.scale,
        "fitted_px": one.fitted_px,
        "abs_rel": one.errors.abs_rel,
        "delta1": one.errors.delta1,
    }


def _instance(row: Mapping[str, Any]) -> InstanceAlignment:
    errors = DepthErrors(row["abs_rel"], row["delta1"])
    return InstanceAlignment(row["instance_id"], row["scale"], row["fitted_px"], errors)
