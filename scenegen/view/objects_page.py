"""The gallery's page of objects: each asset's clean views, voxels and features."""

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from scenegen.contract.crops import premultiplied
from scenegen.contract.object_dataset import ObjectDataset
from scenegen.contract.objects import VIEWS, ObjectGeometry, ViewKind
from scenegen.view.voxels import PrincipalColours, voxel_picture

PICTURES = "objects"
_TILE_PX = 224
_SHOWN_VIEWS: dict[ViewKind, int] = {"condition": 3, "feature": 2}
_PLAIN = np.array([[186, 196, 210]], np.uint8)
_SAMPLED_ASSETS, _SAMPLED_VOXELS = 40, 400


def write_objects(objects: ObjectDataset, uids: Sequence[str], folder: Path) -> None:
    """Write the pictures of these assets and the page's data; older pictures are replaced."""
    pictures = folder / PICTURES
    if pictures.exists():
        shutil.rmtree(pictures)
    pictures.mkdir(parents=True)
    colours = {name: _colours(objects, uids, name) for name in objects.extractors}
    content = {
        "total": len(objects.uids()),
        "tables": _tables(objects),
        "assets": list(_assets(objects, uids, colours, pictures)),
    }
    (folder / "objects_data.js").write_text(f"const OBJECTS = {json.dumps(content)};\n")


def _tables(objects: ObjectDataset) -> dict[str, Any]:
    return {table: dict(objects.meta(table).settings) for table in objects.tables}


def _colours(objects: ObjectDataset, uids: Sequence[str], extractor: str) -> PrincipalColours:
    """One colour mapping for all assets, so that similar parts have similar colours."""
    samples = []
    for uid in uids[:: max(1, len(uids) // _SAMPLED_ASSETS)]:
        feats = _features(objects, uid, extractor)
        if feats is not None:
            samples.append(feats[:: max(1, len(feats) // _SAMPLED_VOXELS)])
    return PrincipalColours(np.concatenate(samples) if samples else np.zeros((3, 3)))


def _assets(
    objects: ObjectDataset, uids: Sequence[str], colours: dict[str, PrincipalColours], pictures: Path
) -> Iterator[dict[str, Any]]:
    for number, uid in enumerate(uids):
        geometry = objects.geometry(uid)
        shown = dict(_pictures(objects, geometry, colours)) if geometry.status == "ok" else {}
        for name, picture in shown.items():
            Image.fromarray(picture).save(pictures / f"{number:05d}-{name}.webp", "WEBP", quality=90, method=2)
        yield {
            "uid": uid,
            "licence": geometry.licence,
            "split": geometry.split,
            "status": geometry.status,
            "failure": geometry.failure,
            "vertices": len(geometry.vertices),
            "faces": len(geometry.faces),
            "voxels": len(geometry.voxels),
            "poses": {name: len(objects.rotations(uid, name)) for name in objects.encoders} if shown else {},
            "images": {name: f"{PICTURES}/{number:05d}-{name}.webp" for name in shown},
        }


def _pictures(
    objects: ObjectDataset, geometry: ObjectGeometry, colours: dict[str, PrincipalColours]
) -> Iterator[tuple[str, np.ndarray]]:
    uid, voxels = geometry.asset_uid, geometry.voxels
    for kind, wanted in _SHOWN_VIEWS.items() if VIEWS in objects.tables else ():
        for index in range(min(wanted, objects.num_views(uid, kind))):
            view = objects.view(uid, kind, index, ["rgba"])
            if view.rgba is not None:
                yield f"{kind}-{index}", _sized(premultiplied(view.rgba))
    yield "voxels", voxel_picture(voxels, np.repeat(_PLAIN, len(voxels), axis=0), _TILE_PX)
    for extractor, to_colours in colours.items():
        feats = _features(objects, uid, extractor)
        if feats is not None and len(feats) == len(voxels):
            yield f"features-{extractor}", voxel_picture(voxels, to_colours(feats), _TILE_PX)


def _features(objects: ObjectDataset, uid: str, extractor: str) -> np.ndarray | None:
    """(N, C) features; None if this table has no row of the asset yet."""
    try:
        return objects.features(uid, extractor).feats
    except KeyError:
        return None


def _sized(rgb: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(rgb).resize((_TILE_PX, _TILE_PX), Image.Resampling.LANCZOS))
