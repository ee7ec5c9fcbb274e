"""Nerfstudio: a folder with transforms.json for each scene.

https://docs.nerf.studio/quickstart/data_conventions.html: OpenGL cameras, a world with z up, intrinsics whose first
pixel has its centre at (0.5, 0.5), depth as 16-bit PNG in millimetres. README.md has the rest.
"""

from typing import Any

import numpy as np

from scenegen.contract.points import points_of_pixels
from scenegen.contract.records import View
from scenegen.export.conventions import MM, depth_steps, opengl_camera
from scenegen.export.exporter import SceneExporter
from scenegen.export.images import png
from scenegen.export.ply import ply
from scenegen.export.selection import SceneViews

IMAGES = ("rgb", "depth_m")
POINTS_OF_SCENE = 50_000
"""The most points that a scene's point cloud has; splatfacto begins with some such number."""


class NerfstudioExporter(SceneExporter):
    """SCENE/{transforms.json,images/,depths/,points.ply}."""

    how_to_read = "ns-train depth-nerfacto --data {out}/SCENE"

    def scene(self, chosen: SceneViews) -> dict[str, Any]:
        folder = f"{chosen.scene_index:06d}"
        frames, points, colours = [], [], []
        for selected in self.source.selection.read(chosen, IMAGES):
            view, name = selected.view, f"{selected.view.view_index:04d}.png"
            assert view.rgb is not None and view.depth_m is not None
            self.folder.write(f"{folder}/images/{name}", png(view.rgb))
            self.folder.write(f"{folder}/depths/{name}", png(depth_steps(view.depth_m, 1.0 / MM)))
            frames.append(_frame(view, name))
            seen, coloured = _points(view, POINTS_OF_SCENE // len(chosen.views))
            points.append(seen)
            colours.append(coloured)
        if frames:
            cloud = ply(np.concatenate(points).astype(np.float32), colours=np.concatenate(colours))
            self.folder.write(f"{folder}/points.ply", cloud)
            self.folder.write_json(f"{folder}/transforms.json", _transforms(frames))
        return {"views": len(frames)}


def _transforms(frames: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "camera_model": "OPENCV",
        "applied_transform": np.eye(4)[:3].tolist(),  # our world has Nerfstudio's axes already
        "ply_file_path": "points.ply",
        "frames": frames,
    }


def _frame(view: View, name: str) -> dict[str, Any]:
    return {
        "file_path": f"images/{name}",
        "depth_file_path": f"depths/{name}",
        "fl_x": view.K_px[0, 0],
        "fl_y": view.K_px[1, 1],
        "cx": view.K_px[0, 2],
        "cy": view.K_px[1, 2],
        "w": view.size_px[0],
        "h": view.size_px[1],
        "transform_matrix": opengl_camera(view.T_world_cam).tolist(),
    }


def _points(view: View, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3) points of the depth in the world and (N, 3) their colours, evenly over the image."""
    assert view.rgb is not None and view.depth_m is not None
    rows, columns = np.nonzero(np.isfinite(view.depth_m))
    chosen = np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)
    rows, columns = rows[chosen], columns[chosen]
    points = points_of_pixels(rows, columns, view.depth_m[rows, columns], view.K_px, view.T_world_cam)
    return points, view.rgb[rows, columns]
