"""A dataset as a folder of static files: index.html opens from disk, without a server or a network."""

import contextlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from scenegen.contract.dataset import IMAGES, Dataset
from scenegen.contract.object_dataset import ObjectDataset
from scenegen.contract.records import BOTH, OPAQUE_IMAGES, Scene, View
from scenegen.contract.sidecar import DepthEstimate, sidecar_table
from scenegen.view import colours
from scenegen.view.completions_page import Completions, write_completions
from scenegen.view.objects_page import write_objects

_PAGE = Path(__file__).parent / "page"
_PAGE_FILES = ("index.html", "gallery.css", "gallery.js")
_OBJECTS_FILES = ("objects.html", "objects.js")
_COMPLETIONS_FILES = ("completions.html", "completions.js")


def write_gallery(
    dataset: Dataset,
    folder: Path,
    max_views: int,
    objects: ObjectDataset | None = None,
    max_objects: int = 200,
    completions: Completions | None = None,
) -> Path:
    """Write a gallery of up to `max_views` views, evenly spread over the dataset. Returns the path of its first page.

    objects: the dataset's objects tables, shown on a page of their own; up to `max_objects` assets, evenly spread.
    completions: completed scenes and their evaluation (`find_completions`), also on a page of their own.
    Files of an older gallery in `folder` are replaced; nothing else there is changed.
    """
    images = folder / "images"
    if images.exists():
        shutil.rmtree(images)
    images.mkdir(parents=True)
    _copy_page(_PAGE_FILES, folder)
    facts = _dataset_facts(dataset) | {
        "has_objects": objects is not None,
        "has_completions": completions is not None,
    }
    content = {"dataset": facts, "views": list(_views(dataset, images, max_views))}
    # A script instead of a JSON file, because browsers do not let a page from disk fetch other files.
    (folder / "data.js").write_text(f"const GALLERY = {json.dumps(content)};\n")
    if objects:
        _copy_page(_OBJECTS_FILES, folder)
        uids = objects.uids()
        write_objects(objects, [uids[number] for number in spread(len(uids), max_objects)], folder)
    if completions:
        _copy_page(_COMPLETIONS_FILES, folder)
        write_completions(completions, folder)
    return folder / "index.html"


def _copy_page(names: Sequence[str], folder: Path) -> None:
    for name in names:
        shutil.copyfile(_PAGE / name, folder / name)


def spread(views: int, wanted: int) -> list[int]:
    """At most `wanted` of the numbers from 0 to views - 1, evenly spread."""
    return np.unique(np.linspace(0, views - 1, min(wanted, views)).round().astype(int)).tolist()


def _dataset_facts(dataset: Dataset) -> dict[str, Any]:
    scenes = list(dataset.scenes())
    return {
        "location": dataset.root.location,
        "views": len(dataset),
        "scenes": len(scenes),
        "failed": sum(scene.status == "failed" for scene in scenes),
        "objects": sum(len(scene.objects) for scene in scenes),
        "licences": sorted({licence for scene in scenes for licence in scene.licences}),
        "metadata": dataset.metadata(),
        "estimators": [_estimator_facts(dataset, name) for name in dataset.estimators(complete=False)],
    }


def _estimator_facts(dataset: Dataset, name: str) -> dict[str, Any]:
    """Who it is and how good its maps are, each view counting alike."""
    meta = dataset.estimator_meta(name)
    table = dataset.table(sidecar_table(name), ["abs_rel", "delta1"])
    errors = {column: table[column].drop_null().to_numpy() for column in table.column_names}
    means = {column: round(float(values.mean()), 4) if len(values) else None for column, values in errors.items()}
    return {"name": name, "kind": meta.kind, "weights_licence": meta.weights_licence, "views": table.num_rows} | means


def _views(dataset: Dataset, images: Path, max_views: int) -> Iterator[dict[str, Any]]:
    shown = (*IMAGES, *(OPAQUE_IMAGES if dataset.transparent == BOTH else ()))
    for number in spread(len(dataset), max_views):
        view, estimates = dataset.view(number, shown), estimates_of(dataset, number)
        yield _view_facts(view, dataset.scene(view.scene_index)) | {
            "estimates": {estimate.estimator: _estimate_facts(estimate) for estimate in estimates},
            "images": _save_pictures(view, estimates, images, number),
        }


def estimates_of(dataset: Dataset, number: int) -> list[DepthEstimate]:
    """Of every estimator that has reached the view's shard."""
    found = []
    for name in dataset.estimators(complete=False):
        with contextlib.suppress(FileNotFoundError):
            found.append(dataset.depth_estimate(number, name))
    return found


def _estimate_facts(estimate: DepthEstimate) -> dict[str, Any]:
    errors = estimate.errors
    return {
        "abs_rel": round(errors.abs_rel, 4) if errors else None,
        "delta1": round(errors.delta1, 4) if errors else None,
        "variant": estimate.variant,
        "instances": {one.instance_id: round(one.errors.abs_rel, 4) for one in estimate.instances},
    }


def _save_pictures(view: View, estimates: Sequence[DepthEstimate], images: Path, number: int) -> dict[str, str]:
    assert view.rgb is not None and view.depth_m is not None
    assert view.instance_id is not None and view.normal_cam is not None
    pictures = {
        "rgb": view.rgb,
        "depth": colours.depth_picture(view.depth_m),
        "ids": colours.id_picture(view.instance_id),
        "normals": colours.normal_picture(view.normal_cam),
    }
    span = colours.depth_span(view.depth_m)  # one scale, so that estimates can be compared with the truth by eye
    if view.depth_opaque_m is not None:
        assert view.instance_id_opaque is not None and view.normal_cam_opaque is not None
        pictures["opaque_depth"] = colours.depth_picture(view.depth_opaque_m, span)
        pictures["opaque_ids"] = colours.id_picture(view.instance_id_opaque)
        pictures["opaque_normals"] = colours.normal_picture(view.normal_cam_opaque)
    for estimate in estimates:
        depth = np.where(estimate.valid, estimate.aligned_m, np.nan)
        pictures[f"depth_{estimate.estimator}"] = colours.depth_picture(depth, span)
        pictures[f"error_{estimate.estimator}"] = colours.error_picture(depth, view.depth_m)
    for kind, picture in pictures.items():
        Image.fromarray(picture).save(images / f"{number:06d}-{kind}.webp", "WEBP", quality=92, method=2)
    return {kind: f"images/{number:06d}-{kind}.webp" for kind in pictures}


def _view_facts(view: View, scene: Scene) -> dict[str, Any]:
    assert view.depth_m is not None
    position = view.T_world_cam[:3, 3]
    width, height = view.size_px
    valid = view.depth_m[np.isfinite(view.depth_m)]
    return {
        "scene": view.scene_index,
        "view": view.view_index,
        "size": [width, height],
        "walls": scene.num_walls,
        "hdri": scene.hdri_uid,
        "licences": list(scene.licences),
        "fov_deg": round(float(np.degrees(2 * np.arctan(width / 2 / view.K_px[0, 0]))), 1),
        "camera": [round(float(x), 2) for x in position],
        "depth_m": [round(float(valid.min()), 2), round(float(valid.max()), 2)] if valid.size else None,
        "objects": [_object_facts(o) for o in view.objects],
    }


def _object_facts(view_object: Any) -> dict[str, Any]:
    facts = asdict(view_object.facts)
    rounded = {name: round(facts[name], 3) for name in ("occlusion", "truncation")}
    return facts | rounded | {"uid": view_object.asset_uid, "colour": colours.id_colour(view_object.instance_id)}
