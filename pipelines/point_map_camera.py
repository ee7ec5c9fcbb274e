"""Camera and metric geometry from MoGe-2's point maps; in models/, because scenegen's annotation needs it as well."""

from models.moge import view_plane_uv
from models.point_map_camera import FocalShift, MetricGeometry, metric_geometry, recover_focal_shift

__all__ = ["FocalShift", "MetricGeometry", "metric_geometry", "recover_focal_shift", "view_plane_uv"]
