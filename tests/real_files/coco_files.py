"""COCO JSON as annotation programs and segmenters write it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.real_files.picture_case import HEIGHT, OBJECTS, WIDTH, FileCase, Refused

IMAGE_NAME = "room.jpg"
NOTHING = np.zeros((HEIGHT, WIDTH), bool)


def _box(mask: np.ndarray) -> np.ndarray:
    """(4, 2) corners of a polygon: whole numbers are the centres of pixels, and those on its edge belong to it."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    (top, bottom), (left, right) = rows[[0, -1]], columns[[0, -1]]
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])


BOX = OBJECTS[7]
CORNERS = _box(BOX).reshape(-1).tolist()


def _runs(mask: np.ndarray) -> list[int]:
    """Run lengths down the columns, zeros first."""
    flat = mask.T.reshape(-1)
    ends = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *ends, flat.size]).tolist()
    return [0, *runs] if flat[0] else runs


def rle(mask: np.ndarray) -> dict[str, Any]:
    return {"size": list(mask.shape), "counts": _runs(mask)}


def _compressed(mask: np.ndarray) -> str:
    """COCO's own form: differences to the run before the last, in groups of 5 bits, the lowest first."""
    runs = _runs(mask)
    text = ""
    for place, run in enumerate(runs):
        value = run - runs[place - 2] if place > 2 else run
        while True:
            bits, value = value & 31, value >> 5
            done = value == (-1 if bits & 16 else 0)
            text += chr(48 + bits + (0 if done else 32))
            if done:
                break
    return text


def _json(content: Any, encoding: str = "utf-8") -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / "instances.json").write_bytes(json.dumps(content).encode(encoding))
        return folder / "instances.json"

    return write


def coco(*annotations: dict[str, Any], images: list[dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
    return {"images": images or [], "annotations": list(annotations), "categories": [], **more}


def _one(segmentation: Any, **more: Any) -> dict[str, Any]:
    return {"id": 7, "segmentation": segmentation, **more}


def _of_images(*names: str) -> dict[str, Any]:
    """The box is annotated in the first of them, the other thing in the rest."""
    images = [{"id": i, "file_name": name, "width": WIDTH, "height": HEIGHT} for i, name in enumerate(names, start=1)]
    others = [{"id": 70 + one["id"], "image_id": one["id"], "segmentation": rle(OBJECTS[9])} for one in images[1:]]
    return coco(_one([CORNERS], image_id=1), *others, images=images)


LABELME = {"version": "5.4.1", "shapes": [{"label": "a", "points": [[6, 6], [17, 6], [17, 19]]}], "imagePath": "a.jpg"}
GROUNDED_SAM = [
    {"value": 0, "label": "background"},
    {"value": 1, "label": "chair", "logit": 0.9, "box": [6, 6, 17, 19]},
]
PANOPTIC = coco({"image_id": 1, "file_name": "a.png", "segments_info": [{"id": 7, "category_id": 1}]})
NAMED = [{"id": 1, "file_name": IMAGE_NAME}, {"id": 2, "file_name": "b.jpg"}]
TWICE = [{"id": 1, "file_name": IMAGE_NAME, "width": 2 * WIDTH, "height": 2 * HEIGHT}]
SWAPPED = [{"id": 1, "file_name": IMAGE_NAME, "width": HEIGHT, "height": WIDTH}]

ONE = {7: BOX}
COCO = [
    FileCase("runs", "uncompressed run lengths", _json(coco(_one(rle(BOX)))), ONE),
    FileCase(
        "compressed runs",
        "cocoapi 492, 531: counts as text",
        _json(coco(*({"id": i, "segmentation": rle(m) | {"counts": _compressed(m)}} for i, m in OBJECTS.items()))),
        OBJECTS,
    ),
    FileCase(
        "counts by str",
        "bytes written as text with their b''",
        _json(coco(_one(rle(BOX) | {"counts": f"b'{_compressed(BOX)}'"}))),
        Refused(r"\.decode\(\)"),
    ),
    FileCase("flat polygon", "Supervision 205: no list around the polygon", _json(coco(_one(CORNERS))), ONE),
    FileCase("pairs", "polygons of points", _json(coco(_one([_box(BOX).tolist()]))), ONE),
    FileCase("odd polygon", "a number is missing", _json(coco(_one([CORNERS[:-1]]))), Refused("7 numbers.*pairs")),
    FileCase(
        "stray point",
        "COCO Annotator 171: a point in the middle beside the polygon",
        _json(coco(_one([CORNERS, [WIDTH / 2, HEIGHT / 2]]))),
        ONE,
    ),
    FileCase(
        "two corners",
        "CVAT 1769: polygons of two points; nothing, and the others go on",
        _json(coco(_one([CORNERS]), {"id": 8, "segmentation": [[3, 3, 5, 5]]}, {"id": 9, "segmentation": []})),
        {7: BOX, 8: NOTHING, 9: NOTHING},
    ),
    FileCase(
        "box without a mask",
        "an annotation without segmentation among others",
        _json(coco(_one([CORNERS]), {"id": 8, "bbox": [6, 6, 12, 14]}, {"id": 9, "segmentation": None})),
        {7: BOX, 8: NOTHING, 9: NOTHING},
    ),
    FileCase("boxes alone", "a detector's output", _json(coco({"id": 1, "bbox": [6, 6, 12, 14]})), Refused("no masks")),
    FileCase(
        "all ids 0",
        "CVAT 2155: ids are not unique",
        _json(coco(*({"id": 0, "segmentation": rle(mask)} for mask in OBJECTS.values()))),
        {1: OBJECTS[7], 2: OBJECTS[9]},
    ),
    FileCase(
        "ids of letters",
        "ids of a data base",
        _json(coco(*({"id": f"65a{i}f", "segmentation": rle(mask)} for i, mask in OBJECTS.items()))),
        {1: OBJECTS[7], 2: OBJECTS[9]},
    ),
    FileCase(
        "without ids",
        "a list as Segment Anything's generator gives it",
        _json([{"segmentation": rle(mask), "area": int(mask.sum())} for mask in OBJECTS.values()]),
        {1: OBJECTS[7], 2: OBJECTS[9]},
    ),
    FileCase("crowd", "run lengths marked as crowds", _json(coco(_one(rle(BOX), iscrowd=1))), ONE),
    FileCase("image ids of letters", "image_id as text", _json(coco(_one([CORNERS], image_id="1"), images=NAMED)), ONE),
    FileCase("windows path", "file_name with backslashes", _json(_of_images(r"img\room.jpg", "b.jpg")), ONE),
    FileCase("other suffix", "annotated as PNG, given as JPEG", _json(_of_images("room.png", "b.png")), ONE),
    FileCase(
        "roboflow's names",
        "Roboflow renames images",
        _json(_of_images("room_jpg.rf.0f3a9b.jpg", "b_jpg.rf.1.jpg")),
        ONE,
    ),
    FileCase(
        "other images", "none is ours", _json(_of_images("a.jpg", "b.jpg")), Refused("a.jpg, b.jpg;.*call the image")
    ),
    FileCase(
        "results of two images",
        "YOLACT 103: a mask of another image among ours",
        _json([{"image_id": i, "segmentation": rle(mask)} for i, mask in OBJECTS.items()]),
        Refused("2 images.*leave those of room.jpg"),
    ),
    FileCase(
        "only of another image",
        "image_id of an image that is not there",
        _json(coco(_one([CORNERS], image_id=5), images=[{"id": 1, "file_name": IMAGE_NAME}])),
        Refused("no annotations for room.jpg; they are of image_id 5"),
    ),
    FileCase("runs of half the size", "a segmenter's smaller masks", _json(coco(_one(rle(BOX[::2, ::2])))), ONE),
    FileCase(
        "polygons of twice the size",
        "annotated on the original, given scaled down",
        _json(coco(_one([(2 * np.array(CORNERS) + 0.5).tolist()], image_id=1), images=TWICE)),
        ONE,
    ),
    FileCase(
        "width and height swapped",
        "Label Studio 6608: the size of an EXIF-rotated photo",
        _json(coco(_one([CORNERS], image_id=1), images=SWAPPED)),
        Refused("turned by 90 degrees.*EXIF"),
    ),
    FileCase("byte order mark", "JSON of a Windows editor", _json(coco(_one([CORNERS])), "utf-8-sig"), ONE),
    FileCase("utf-16", "JSON of PowerShell", _json(coco(_one([CORNERS])), "utf-16"), ONE),
    FileCase("labelme", "labelme 34: its own JSON", _json(LABELME), Refused("labelme.*export it as COCO")),
    FileCase("grounded sam", "mask.json of Grounded SAM has boxes", _json(GROUNDED_SAM), Refused("no masks")),
    FileCase("panoptic", "COCO panoptic", _json(PANOPTIC), Refused("panoptic.*PNG")),
]
