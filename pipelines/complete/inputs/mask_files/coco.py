"""Instance masks from COCO JSON, as annotation programs and segmenters write it.

Shapes: H W image.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from pipelines.complete.inputs.mask_files.segmentations import MAX_COORDINATE, rasterised, size_of_runs
from pipelines.complete.inputs.resize import check_shape
from pipelines.errors import PipelineError, UsageError

NAMED = 5  # images in a message
OTHERS = {  # a key that only another format has → what to do with its files
    "shapes": "labelme's own; export it as COCO, or as an image of ids",
    "_via_img_metadata": "VIA's own; export its annotations as COCO",
    "regions": "VIA's own; export its annotations as COCO",
    "segments_info": "panoptic; give its PNG as the image of masks",
}


@dataclass(frozen=True)
class CocoMasks:
    """makers: make the (H, W) bool masks, by id. sizes_px: (width, height) of the annotated images, where known.

    assumed: what was assumed, sentences for the user.
    """

    makers: Mapping[int, Callable[[], np.ndarray]]
    sizes_px: set[tuple[int, int]]
    assumed: tuple[str, ...]


def coco_masks(path: Path, size_px: tuple[int, int], image_name: str) -> CocoMasks:
    """The annotations of one image: polygons, or run lengths in both forms.

    path: COCO annotations or results. Those of another size of the image are scaled.
    size_px: (width, height) that the masks must have.
    image_name: whose annotations to take from a JSON of several images.
    Ids are COCO's if they are distinct numbers, else the annotations are counted. Raises UsageError or PipelineError.
    """
    content = _parsed(path)
    images = [] if isinstance(content, list) else content.get("images") or []
    annotations = _annotations(content, path)
    if not isinstance(images, list) or not all(isinstance(one, dict) for one in images):
        raise PipelineError(f'{path} is no COCO annotation file: its "images" are no list of images')
    image = _image(images, image_name, path)
    chosen = _of_image(annotations, image, image_name, path)
    if not any(one.get("segmentation") for one in chosen):
        raise UsageError(f"{path} has boxes or points, but no masks: none of its annotations has a segmentation")
    ids, numbered = _ids(chosen)
    shapes = [one.get("segmentation") for one in chosen]
    sizes_px = _sizes(shapes, image, path)
    known_px = {size for size in sizes_px if size is not None}
    for size in known_px:
        check_shape(size, size_px, path)
    makers = {
        i: partial(rasterised, shape, given_px, size_px, path)
        for i, shape, given_px in zip(ids, shapes, sizes_px, strict=True)
    }
    crowds = sum(bool(one.get("iscrowd")) for one in chosen)
    assumed = [
        _note_on_name(image, image_name),
        numbered,
        f"{crowds} of the masks are marked as crowds (iscrowd); each is taken as one object" if crowds else "",
    ]
    return CocoMasks(makers, known_px, tuple(f"{path}: {one}" for one in assumed if one))


def _parsed(path: Path) -> Any:
    try:
        content = json.loads(path.read_bytes())  # of bytes, so that a byte order mark is skipped
    except ValueError as error:
        raise PipelineError(f"{path} is no JSON: {error}") from error
    if not isinstance(content, dict | list):
        raise PipelineError(f"{path} is no COCO annotation file: it holds {content!r:.20}")
    return content


def _annotations(content: Any, path: Path) -> list[dict[str, Any]]:
    annotations = content if isinstance(content, list) else content.get("annotations")
    first = next((one for one in annotations if isinstance(one, dict)), {}) if isinstance(annotations, list) else {}
    for keys in (content, first):
        theirs = next((said for key, said in OTHERS.items() if key in keys), None)
        if theirs and "segmentation" not in first:
            raise UsageError(f"{path} is no COCO annotation file, but {theirs}")
    if not isinstance(annotations, list) or not all(isinstance(one, dict) for one in annotations):
        found = ", ".join(map(str, content)) if isinstance(content, dict) else "a list"
        raise PipelineError(f'{path} is no COCO annotation file: it lacks a list of "annotations"; it has {found:.80}')
    return annotations


def _image(images: Sequence[Mapping[str, Any]], name: str, path: Path) -> Mapping[str, Any] | None:
    """The entry of the image; None if the file describes no images."""
    if len(images) < 2:
        return images[0] if images else None
    for is_it in (_is_named, _is_called_alike):
        found = [image for image in images if is_it(image, name)]
        if len(found) == 1:
            return found[0]
    names = ", ".join(_file_name(image) for image in images[:NAMED])
    more = ", ..." if len(images) > NAMED else ""
    raise UsageError(
        f"{path} annotates {len(images)} images: {names}{more}; none of them alone is called "
        f"{name or 'like the image'}; leave the one that is meant, or call the image like it"
    )


def _file_name(image: Mapping[str, Any]) -> str:
    return PureWindowsPath(str(image.get("file_name", ""))).name  # which knows both kinds of slashes


def _is_named(image: Mapping[str, Any], name: str) -> bool:
    return _file_name(image) == name


def _is_called_alike(image: Mapping[str, Any], name: str) -> bool:
    """The same name with another suffix, or as Roboflow renames files: room.jpg to room_jpg.rf.0123abcd.jpg."""
    given, file = PureWindowsPath(name), PureWindowsPath(_file_name(image))
    return file.stem == given.stem or file.name.startswith(name.replace(".", "_") + ".rf.")


def _note_on_name(image: Mapping[str, Any] | None, name: str) -> str:
    if image is None or not name or not _file_name(image) or _is_named(image, name) or _is_called_alike(image, name):
        return ""
    return f"it annotates {_file_name(image)}; taken for {name}"


def _of_image(
    annotations: list[dict[str, Any]], image: Mapping[str, Any] | None, name: str, path: Path
) -> list[dict[str, Any]]:
    """Those of the image; all, if neither the file nor the image says whose they are."""
    whose = {str(one["image_id"]) for one in annotations if "image_id" in one}
    if image is None:
        if len(whose) > 1:
            raise UsageError(
                f"{path} has annotations of {len(whose)} images and does not say which they are; leave those of "
                f"{name or 'the image'}"
            )
        chosen = annotations
    else:
        own = str(image.get("id"))
        chosen = [one for one in annotations if str(one.get("image_id", own)) == own]
    if not chosen:
        others = f"; they are of image_id {', '.join(sorted(whose)[:NAMED])}" if whose else ""
        raise UsageError(f"{path} has no annotations for {name or 'the image'}{others}")
    return chosen


def _ids(annotations: Sequence[Mapping[str, Any]]) -> tuple[list[int], str]:
    """An id for each, and a note on them for the user, or an empty one."""
    places = list(range(1, len(annotations) + 1))
    given = [one.get("id") for one in annotations]
    if all(i is None for i in given):
        return places, ""
    try:
        ids = [int(i) for i in given]  # type: ignore[arg-type]  # None raises, too
    except (TypeError, ValueError, OverflowError):
        return places, f"its ids are no numbers; the masks are counted from 1 to {len(places)} in their order"
    if len(set(ids)) < len(ids):
        return places, f"several masks have one id; they are counted from 1 to {len(places)} in their order"
    return ids, ""


def _sizes(shapes: Sequence[Any], image: Mapping[str, Any] | None, path: Path) -> list[tuple[int, int] | None]:
    """(width, height) on which each was annotated: that of its run lengths, else what the file states of the image."""
    said = (image or {}).get("width"), (image or {}).get("height")
    known = all(isinstance(one, int | float) and 0 < one < MAX_COORDINATE for one in said)
    said_px = (int(said[0]), int(said[1])) if known else None  # type: ignore[arg-type]
    try:
        return [size_of_runs(one) or (said_px if one else None) for one in shapes]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise PipelineError(f"{path} has a segmentation that cannot be read: {error}") from error
