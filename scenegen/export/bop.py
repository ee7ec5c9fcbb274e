"""The BOP-scenewise format of 6D pose estimation, as the BOP toolkit documents and computes it.

https://github.com/thodan/bop_toolkit/blob/master/docs/bop_datasets_format.md. Models are in millimetres and rigid,
while our objects have a scale of their own: there is one model for each asset and scale. README.md has the rest.
"""

import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from scenegen.contract.records import SceneObject, View, ViewObject
from scenegen.export.conventions import (
    DEPTH_STEPS_MM,
    MM,
    depth_step_mm,
    depth_steps,
    first_pixel_at_zero,
    inverse,
    scale_of,
    without_scale,
)
from scenegen.export.exporter import SceneExporter
from scenegen.export.images import png
from scenegen.export.ply import ply
from scenegen.export.selection import SceneViews, SelectedView
from scenegen.export.silhouettes import Silhouettes
from scenegen.export.vertex_colours import coloured

IMAGES = ("rgb", "depth_m", "instance_id")
NO_BOX = [-1, -1, -1, -1]
TARGET_VISIBLE = 0.1
"""The least visible fraction of an object that the BOP benchmark asks for."""
SCALE_DIGITS = 6

Model = tuple[str, str, float]  # asset uid, sha256, longest side in metres


class BopExporter(SceneExporter):
    """SPLIT/SCENE/{rgb,depth,mask,mask_visib,*.json}, models/, camera.json and test_targets_bop19.json."""

    how_to_read = "bop_toolkit_lib.dataset.bop_scenewise.load_scene_data('{out}/SPLIT/SCENE')"
    needs = (("embreex", "formats"), ("scipy", "formats"))

    def check(self) -> None:
        self.source.require_shapes()

    @cached_property
    def model_ids(self) -> dict[Model, int]:
        """Each asset at each scale, numbered from 1 as BOP does."""
        models = {_model(o) for _, objects in self._placed() for o in objects}
        return {model: number for number, model in enumerate(sorted(models), 1)}

    def scene(self, chosen: SceneViews) -> dict[str, Any]:
        folder = f"{self.source.split}/{chosen.scene_index:06d}"
        silhouettes = Silhouettes(self.source.shapes, self.source.dataset.transparent)
        camera, truth, info = {}, {}, {}
        size, K = (0, 0), np.eye(3)
        for selected in self.source.selection.read(chosen, IMAGES):
            view = selected.view
            key, size, K = str(view.view_index), view.size_px, first_pixel_at_zero(view.K_px)
            camera[key], steps = self._write_images(folder, view)
            truth[key] = [_pose(view, o, self.model_ids[_model(o.scene_object)]) for o in selected.objects]
            info[key] = self._write_masks(folder, selected, silhouettes, steps)
        models = self._write_models(self.source.selection.scene_objects(chosen)) if camera else {}
        if camera:
            for name, content in (("camera", camera), ("gt", truth), ("gt_info", info)):
                self.folder.write(f"{folder}/scene_{name}.json", _by_line(content))
        targets = list(_targets(chosen.scene_index, truth, info))
        return {"views": len(camera), "models": models, "targets": targets, "size": size, "K": K.tolist()}

    def finish(self, units: int) -> None:
        models: dict[int, dict[str, Any]] = {}
        targets: list[dict[str, int]] = []
        for part in self.parts(units):
            models.update({int(number): each for number, each in part["models"].items()})
            targets += part["targets"]
            if part["views"]:
                self._write_camera(part["size"], part["K"])
        assets = {number: models[number].pop("asset") for number in sorted(models)}
        self.folder.write("models/models_info.json", _by_line({str(k): models[k] for k in sorted(models)}))
        self.folder.write("models/assets.json", _by_line({str(k): each for k, each in assets.items()}))
        self.folder.write("test_targets_bop19.json", json.dumps(targets).encode())

    def _placed(self) -> Iterator[tuple[SceneViews, Sequence[SceneObject]]]:
        for chosen in self.source.selection.scenes:
            yield chosen, self.source.selection.scene_objects(chosen)

    def _write_images(self, folder: str, view: View) -> tuple[dict[str, Any], np.ndarray]:
        """The entry of scene_camera.json, and the depth as it is stored."""
        assert view.rgb is not None and view.depth_m is not None
        scale = depth_step_mm(view.depth_m)
        steps = depth_steps(view.depth_m, scale / MM)
        self.folder.write(f"{folder}/rgb/{view.view_index:06d}.png", png(view.rgb))
        self.folder.write(f"{folder}/depth/{view.view_index:06d}.png", png(steps))
        T_cam_world = inverse(view.T_world_cam)
        return {
            "cam_K": first_pixel_at_zero(view.K_px).ravel().tolist(),
            "depth_scale": scale,
            "cam_R_w2c": T_cam_world[:3, :3].ravel().tolist(),
            "cam_t_w2c": (T_cam_world[:3, 3] * MM).tolist(),
        }, steps

    def _write_masks(
        self, folder: str, selected: SelectedView, silhouettes: Silhouettes, steps: np.ndarray
    ) -> list[dict[str, Any]]:
        """The entries of scene_gt_info.json."""
        view, infos = selected.view, []
        assert view.instance_id is not None
        for number, seen in enumerate(selected.objects):
            visible, whole = view.instance_id == seen.instance_id, silhouettes.amodal(view, seen)
            name = f"{view.view_index:06d}_{number:06d}.png"
            self.folder.write(f"{folder}/mask_visib/{name}", png(visible))
            self.folder.write(f"{folder}/mask/{name}", png(whole))
            infos.append(_info(visible, whole, silhouettes.outside(view, seen), steps))
        return infos

    def _write_models(self, objects: Sequence[SceneObject]) -> dict[int, dict[str, Any]]:
        """What models_info.json says of each model of a scene."""
        infos = {}
        for placed in objects:
            uid, _, side_m = model = _model(placed)
            number, shapes = self.model_ids[model], self.source.shapes
            mesh = coloured(shapes.glb_of(placed), shapes.of(placed))
            vertices = mesh.vertices * np.float32(side_m * MM)
            self.folder.write(f"models/obj_{number:06d}.ply", ply(vertices, mesh.faces, mesh.normals, mesh.colours))
            asset = {"asset_uid": uid, "longest_side_m": side_m, "licence": placed.licence}
            infos[number] = {**_extent(vertices), "asset": asset}
        return infos

    def _write_camera(self, size_px: Sequence[int], K: Sequence[Sequence[float]]) -> None:
        """BOP's nominal camera. The true one of each image stands in scene_camera.json."""
        camera = {"cx": K[0][2], "cy": K[1][2], "fx": K[0][0], "fy": K[1][1]}
        camera |= {"width": size_px[0], "height": size_px[1], "depth_scale": DEPTH_STEPS_MM[0]}
        path: Path = self.folder.root / "camera.json"
        if not path.exists():
            self.folder.write_json(path.name, camera)


def _model(placed: SceneObject) -> Model:
    return placed.asset_uid, placed.asset_sha256, round(scale_of(placed.T_world_obj), SCALE_DIGITS)


def _pose(view: View, seen: ViewObject, model: int) -> dict[str, Any]:
    T_cam_model = inverse(view.T_world_cam) @ without_scale(seen.T_world_obj)
    return {
        "obj_id": model,
        "cam_R_m2c": T_cam_model[:3, :3].ravel().tolist(),
        "cam_t_m2c": (T_cam_model[:3, 3] * MM).tolist(),
        "instance_id": seen.instance_id,  # beyond the format: the value in our id maps
    }


def _info(visible: np.ndarray, whole: np.ndarray, outside: np.ndarray, steps: np.ndarray) -> dict[str, Any]:
    """By the definitions of the toolkit's calc_gt_info.py: the silhouette counts beyond the frame too."""
    rows, columns = np.nonzero(whole)
    everywhere = np.concatenate([np.stack([columns, rows], axis=1), outside])
    seen_rows, seen_columns = np.nonzero(visible)
    seen = len(seen_rows)
    return {
        "px_count_all": len(everywhere),
        "px_count_valid": int((steps[rows, columns] > 0).sum()),
        "px_count_visib": seen,
        "visib_fract": seen / len(everywhere) if len(everywhere) else 0.0,
        "bbox_obj": _box(everywhere) if seen else NO_BOX,
        "bbox_visib": _box(np.stack([seen_columns, seen_rows], axis=1)) if seen else NO_BOX,
    }


def _box(pixels: np.ndarray) -> list[int]:
    """[x, y, w, h] from first to last pixel, so that one pixel has width 0: the toolkit's calc_2d_bbox."""
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    return [*low.tolist(), *(high - low).tolist()]


def _extent(vertices: np.ndarray) -> dict[str, float]:
    low, high = vertices.min(axis=0).astype(float), vertices.max(axis=0).astype(float)
    extent = {"diameter": _diameter(vertices)}
    extent |= {f"min_{axis}": float(low[i]) for i, axis in enumerate("xyz")}
    return extent | {f"size_{axis}": float(high[i] - low[i]) for i, axis in enumerate("xyz")}


def _diameter(vertices: np.ndarray) -> float:
    """The largest distance of two vertices; both lie on the convex hull."""
    from scipy.spatial import ConvexHull, QhullError
    from scipy.spatial.distance import pdist

    try:
        corners = vertices[ConvexHull(vertices, qhull_options="QJ Pp").vertices]  # joggled: flat assets have a hull too
    except QhullError:
        corners = np.unique(vertices, axis=0)
    return float(pdist(corners.astype(np.float64)).max(initial=0.0))


def _targets(scene: int, truth: dict[str, Any], info: dict[str, Any]) -> Iterator[dict[str, int]]:
    for image, poses in truth.items():
        counts: dict[int, int] = {}
        for pose, facts in zip(poses, info[image], strict=True):
            if facts["visib_fract"] >= TARGET_VISIBLE:
                counts[pose["obj_id"]] = counts.get(pose["obj_id"], 0) + 1
        for model, count in sorted(counts.items()):
            yield {"im_id": int(image), "inst_count": count, "obj_id": model, "scene_id": scene}


def _by_line(content: dict[str, Any]) -> bytes:
    """JSON with an entry a line, as BOP's files have it."""
    lines = (f'  "{key}": {json.dumps(value)}' for key, value in content.items())
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()
