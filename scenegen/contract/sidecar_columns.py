"""The columns of sidecars (depth estimators' maps), each with its meaning and unit in the metadata.

A change here is a change of the format: raise sidecar.SIDECAR_VERSION.
"""

import pyarrow as pa

from scenegen.contract.fields import PLANES_DOC, field_of

FAR_M = 100.0
"""Aligned inverse depth beyond this distance counts as no estimate, because one code step is metres there."""

MAP_CODES = 16383  # 14 bits: two more would only store noise, far below any estimator's error (see README.md)
CONFIDENCE_CODES = 255

INSTANCE_ALIGNMENT = pa.struct(
    [
        field_of("instance_id", pa.uint16(), "value in the instance_id image, >= 3"),
        field_of("scale", pa.float64(), "depth = scale * (depth after the image's alignment)"),
        field_of("fitted_px", pa.int32(), "pixels of the mask's interior that were fitted", unit="pixel"),
        field_of("abs_rel", pa.float32(), "over the fitted pixels, after this scale"),
        field_of("delta1", pa.float32(), "over the fitted pixels, after this scale"),
    ]
)

SIDECAR_FIELDS = [
    field_of("scene_index", pa.int64(), "key of the row, as in the views table"),
    field_of("view_index", pa.int32(), "key of the row, as in the views table"),
    field_of("width", pa.int32(), "of the map, which is the view's", unit="pixel"),
    field_of("height", pa.int32(), "of the map, which is the view's", unit="pixel"),
    field_of(
        "map",
        pa.large_binary(),
        "the estimator's own map, before alignment; file metadata kind says what it is. depth: planar z, "
        "map = exp(map_offset + code * map_step), in metres if file metadata metric is true. inverse_depth: "
        f"map = map_offset + code * map_step, 1 / depth up to scale and shift. codes 1 to {MAP_CODES}; {PLANES_DOC}",
        shape="H,W",
        invalid="code 0, NaN once decoded",
    ),
    field_of("map_offset", pa.float64(), "see map"),
    field_of("map_step", pa.float64(), "see map; the error is at most half of it"),
    field_of(
        "confidence",
        pa.large_binary(),
        "the estimator's confidence in its own unit, larger is surer; exp(confidence_offset + code * confidence_step); "
        f"codes 1 to {CONFIDENCE_CODES}; null if it states none; file metadata confidence_threshold: what its "
        f"authors take for usable; {PLANES_DOC}",
        True,
        shape="H,W",
        invalid="code 0, NaN once decoded",
    ),
    field_of("confidence_offset", pa.float64(), "see confidence", True),
    field_of("confidence_step", pa.float64(), "see confidence", True),
    field_of(
        "align_kind",
        pa.string(),
        "scale: depth = align_scale * map; scale_shift: depth = align_scale * map + align_shift; "
        f"inverse_scale_shift: 1 / depth = align_scale * map + align_shift, invalid beyond {FAR_M:g} m; "
        "null if nothing could be fitted",
        True,
    ),
    field_of("align_scale", pa.float64(), "see align_kind; robust fit to the view's depth", True),
    field_of("align_shift", pa.float64(), "see align_kind", True),
    field_of("align_inlier_share", pa.float32(), "part of the common pixels that the fit agreed with", True),
    field_of("valid_share", pa.float32(), "pixels with a usable estimate, of those with ground truth"),
    field_of("abs_rel", pa.float32(), "mean |depth - truth| / truth over common pixels, after alignment", True),
    field_of("delta1", pa.float32(), "share of common pixels within a factor of 1.25, after alignment", True),
    field_of("metric_abs_rel", pa.float32(), "abs_rel of a metric map without alignment", True),
    field_of("metric_delta1", pa.float32(), "delta1 of a metric map without alignment", True),
    field_of(
        "focal_px", pa.float64(), "the model's own horizontal focal length for the view's size", True, unit="pixel"
    ),
    field_of("source_views", pa.list_(pa.int32()), "view_index of other views of the scene that the model was shown"),
    field_of("variant", pa.string(), "what was drawn for this row, such as a severity; empty if nothing"),
    field_of(
        "instances",
        pa.list_(pa.field("element", INSTANCE_ALIGNMENT, False)),
        "instances with enough pixels, each with the scale that puts it at its true depth",
    ),
]
