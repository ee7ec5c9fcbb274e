"""Which assets are trained on, and which are held out for validation."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.errors import UsageError
from pipelines.train.interfaces.loading import Split
from scenegen.contract.object_dataset import ObjectDataset

_THIN = ["asset_uid", "split", "status", "num_faces", "num_voxels"]


@dataclass(frozen=True, slots=True)
class AssetFacts:
    """What is known of an asset without decoding it. split: as stored. num_voxels: in its canonical pose."""

    uid: str
    split: str
    num_faces: int
    num_voxels: int


def usable_assets(objects: ObjectDataset, split: Split, held_out: float) -> dict[str, AssetFacts]:
    """Assets of one split that were prepared without error, by uid, sorted.

    If the dataset has assets of several splits, the stored split decides: "train" is trained on, "val" validates (or
    "test" if there is no "val"). If all are of one split, `held_out` is the share that validates, at least one asset:
    those with the smallest hashes of their uids, so that an asset stays in its split when others are added.
    """
    columns = objects.table("objects", _THIN).to_pydict()
    rows = zip(*(columns[name] for name in _THIN), strict=True)
    assets = {
        uid: AssetFacts(uid, stored, faces, voxels) for uid, stored, status, faces, voxels in rows if status == "ok"
    }
    chosen = _chosen(assets, split, held_out)
    return {uid: assets[uid] for uid in sorted(chosen)}


def _chosen(assets: Mapping[str, AssetFacts], split: Split, held_out: float) -> set[str]:
    splits = {asset.split for asset in assets.values()}
    if len(splits) > 1:
        validating = "val" if "val" in splits else "test"
        return {uid for uid, asset in assets.items() if asset.split == ("train" if split == "train" else validating)}
    val = {uid for uid in assets if _uniform(uid) < held_out}
    if held_out and not val and len(assets) > 1:
        val = {min(assets, key=_uniform)}
    return val if split == "val" else assets.keys() - val


def _uniform(uid: str) -> float:
    """A number in [0, 1) that follows from the uid alone."""
    return int.from_bytes(hashlib.sha256(uid.encode()).digest()[:7], "big") / 2**56


def nothing_left(what: str, location: str) -> UsageError:
    """The error for data without training samples."""
    return UsageError(f"{location} has no {what}; look at the filters of the data options and at scenegen status")
