"""COCO instances: lossless PNG images, and one JSON file with the visible mask of each object as compressed RLE.

https://cocodataset.org/#format-data. Boxes and areas are of the visible mask, as detectors expect; amodal ones and
poses stand in keys of their own, which readers of COCO leave alone.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scenegen.contract.records import View, ViewObject
from scenegen.export.conventions import box_xywh, inverse
from scenegen.export.exporter import SceneExporter
from scenegen.export.images import png
from scenegen.export.selection import SceneViews, SelectedView
from scenegen.export.silhouettes import Silhouettes

IMAGES = ("rgb", "instance_id")
ANNOTATIONS = "annotations/instances.json"


class CocoExporter(SceneExporter):
    """images/SCENE_VIEW.png and annotations/instances.json."""

    how_to_read = f"pycocotools.coco.COCO('{{out}}/{ANNOTATIONS}')"
    needs = (("pycocotools", "formats"),)

    def check(self) -> None:
        if self.source.options.amodal_masks:
            self._silhouettes()
            self.source.require_shapes()

    def scene(self, chosen: SceneViews) -> dict[str, Any]:
        silhouettes = self._silhouettes() if self.source.options.amodal_masks else None
        views = []
        for selected in self.source.selection.read(chosen, IMAGES):
            seen = [o for o in selected.objects if o.facts.visible_px]  # a COCO annotation has a mask
            if seen:
                name = f"images/{selected.name}.png"
                assert selected.view.rgb is not None
                self.folder.write(name, png(selected.view.rgb))
                annotations = [_annotation(selected.view, o, silhouettes) for o in seen]
                views.append({"image": _image(selected, name), "annotations": annotations})
        return {"views": len(views), "annotated": views}

    def finish(self, units: int) -> None:
        categories = self._categories(units)
        self.folder.fill(ANNOTATIONS, lambda path: self._write_json(path, units, categories))

    def _silhouettes(self) -> Silhouettes:
        return Silhouettes(self.source.shapes, self.source.dataset.transparent)

    def _categories(self, units: int) -> dict[str, int]:
        """Asset uid to category id; ids begin at 1, since 0 is the background to some readers."""
        if self.source.options.categories == "object":
            return {}
        uids = {each["asset_uid"] for view in self._annotated(units) for each in view["annotations"]}
        return {uid: number for number, uid in enumerate(sorted(uids), 1)}

    def _annotated(self, units: int) -> Iterator[dict[str, Any]]:
        for part in self.parts(units):
            yield from part["annotated"]

    def _write_json(self, path: Path, units: int, category_of: dict[str, int]) -> None:
        """One record after the other, so that a dataset of any size passes through little memory."""
        info = {"description": "exported by scenegen", "conventions": CONVENTIONS}
        categories = [self._category(uid, number) for uid, number in category_of.items()]
        categories = categories or [{"id": 1, "name": "object", "supercategory": "object"}]
        with path.open("w") as file:
            file.write(f'{{"info": {json.dumps(info)},\n"licenses": [],\n"categories": {json.dumps(categories)},\n')
            _write_list(file.write, "images", self._images(units))
            file.write(",\n")
            _write_list(file.write, "annotations", self._annotations(units, category_of))
            file.write("}\n")

    def _images(self, units: int) -> Iterator[dict[str, Any]]:
        for number, view in enumerate(self._annotated(units), 1):
            yield {"id": number, **view["image"]}

    def _annotations(self, units: int, category_of: dict[str, int]) -> Iterator[dict[str, Any]]:
        number = 0
        for image, view in enumerate(self._annotated(units), 1):
            for each in view["annotations"]:
                number += 1  # from 1: pycocotools takes an annotation of id 0 for unmatched
                category = category_of.get(each["asset_uid"], 1)
                yield {"id": number, "image_id": image, "category_id": category, **each}

    def _category(self, uid: str, number: int) -> dict[str, Any]:
        _, category = self.source.shapes.name_of(uid)
        return {"id": number, "name": uid, "supercategory": category or "object"}


CONVENTIONS = {
    "K_px": "pixels, the corner of the first pixel is (0, 0) and its centre (0.5, 0.5), as in boxes and polygons",
    "T_world_cam": "camera to world, metres, OpenCV axes; the world has z up",
    "T_cam_obj": "canonical object (centred, longest side 1, z up) to camera; holds the scale",
    "amodal": "inside the frame: what the object would cover if it were alone",
}


def _image(selected: SelectedView, name: str) -> dict[str, Any]:
    view = selected.view
    return {
        "file_name": name.removeprefix("images/"),
        "width": view.size_px[0],
        "height": view.size_px[1],
        "scene_index": view.scene_index,
        "view_index": view.view_index,
        "K_px": view.K_px.tolist(),
        "T_world_cam": view.T_world_cam.tolist(),
    }


def _annotation(view: View, seen: ViewObject, silhouettes: Silhouettes | None) -> dict[str, Any]:
    assert view.instance_id is not None
    facts, placed = seen.facts, seen.scene_object
    annotation = {
        "segmentation": _rle(view.instance_id == seen.instance_id),
        "bbox": box_xywh(facts.visible_box_px),
        "area": facts.visible_px,
        "iscrowd": 0,
        "amodal_bbox": box_xywh(facts.amodal_box_px),
        "amodal_area": facts.amodal_px,
        "occlusion": facts.occlusion,
        "truncation": facts.truncation,
        "instance_id": seen.instance_id,
        "asset_uid": placed.asset_uid,
        "licence": placed.licence,
        "T_cam_obj": (inverse(view.T_world_cam) @ placed.T_world_obj).tolist(),
    }
    if silhouettes:
        annotation["amodal_segmentation"] = _rle(silhouettes.amodal(view, seen))
    return annotation


def _rle(mask: np.ndarray) -> dict[str, Any]:
    from pycocotools import mask as coco_mask

    encoded = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": list(encoded["size"]), "counts": encoded["counts"].decode("ascii")}


def _write_list(write: Any, name: str, records: Iterator[dict[str, Any]] | Sequence[dict[str, Any]]) -> None:
    write(f'"{name}": [')
    for number, record in enumerate(records):
        write((",\n" if number else "\n") + json.dumps(record))
    write("\n]")
