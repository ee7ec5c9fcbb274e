"""Ground truth of the supplement's 15 frames, in ScanNet's own layout.

    ROOT/<scene>/color/<frame>.jpg, depth/<frame>.png (mm), pose/<frame>.txt, intrinsic/intrinsic_{color,depth}.txt
    ROOT/<scene>/instance-filt/<frame>.png           from <scene>_2d-instance-filt.zip; value = objectId + 1
    ROOT/<scene>/<scene>_vh_clean_2.ply, <scene>_vh_clean_2.0.010000.segs.json, <scene>.aggregation.json

ScanNet's own reader writes these folders from a .sens file. The truth of an instance is its part of the scan, partial
and noisy as scans are. Walls, floors and ceilings are not judged. ScanNet is given out by its authors after their
terms of use are signed (ScanNet/ScanNet); nothing is downloaded here.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.evaluate.files.checked import UnexpectedLayout, matrix, need, need_key, read_grey, read_json, read_rgb
from pipelines.evaluate.files.meshes import read_shape
from pipelines.evaluate.records.shapes import Shape
from pipelines.evaluate.records.truth import TruthObject, TruthView
from pipelines.evaluate.truth.selection import MIN_PIXEL_RATIO, evenly_spaced

FRAMES_FILE = Path(__file__).with_name("scannet_frames.json")
NOT_OBJECTS = frozenset({"wall", "floor", "ceiling"})


def supplement_frames() -> tuple[tuple[str, int], ...]:
    """(scene, frame) of each image in the paper's ScanNet evaluation."""
    return tuple((scene, frame) for scene, frame in json.loads(FRAMES_FILE.read_text())["frames"])


@dataclass(frozen=True, slots=True)
class ScanNetTruth:
    """The world is that of the scan: z up, metres. Depth is resampled to the pixels of the colour image."""

    root: Path
    keys: tuple[str, ...]
    name: str = "scannet"

    @classmethod
    def open(cls, root: Path, limit: int) -> ScanNetTruth:
        """All 15 frames must be there. Raises UnexpectedLayout."""
        frames = evenly_spaced(supplement_frames(), limit)
        for scene, frame in frames:
            need(root / scene / "color" / f"{frame}.jpg", "a frame of the supplement's list")
        return cls(root, tuple(f"{scene}/{frame}" for scene, frame in frames))

    def view(self, key: str) -> TruthView:
        scene, frame = key.split("/")
        folder = self.root / scene
        rgb_HW3 = read_rgb(folder / "color" / f"{frame}.jpg")
        size_HW = rgb_HW3.shape[:2]
        K_px = _matrix_file(folder / "intrinsic" / "intrinsic_color.txt")[:3, :3]
        K_depth = _matrix_file(folder / "intrinsic" / "intrinsic_depth.txt")[:3, :3]
        depth_mm = read_grey(folder / "depth" / f"{frame}.png", "the depth")
        depth_HW = _registered(depth_mm.astype(np.float32) / 1000, K_depth, K_px, size_HW)
        masks_HW = read_grey(folder / "instance-filt" / f"{frame}.png", "the instance masks")
        if masks_HW.shape != size_HW:
            raise UnexpectedLayout(f"{key}: masks {masks_HW.shape} and colour image {size_HW} differ in size")
        parts = instances_of_scan(folder, scene)
        ids, pixels = np.unique(masks_HW, return_counts=True)
        least = MIN_PIXEL_RATIO * masks_HW.size
        judged = sorted((int(n), int(i)) for i, n in zip(ids, pixels, strict=True) if int(i) in parts and n >= least)
        return TruthView(
            key=key,
            scene=scene,
            rgb_HW3=rgb_HW3,
            instance_HW=masks_HW.astype(np.uint16),
            depth_HW=np.where(depth_HW > 0, depth_HW, np.nan),
            K_px=K_px,
            T_world_cam=_matrix_file(folder / "pose" / f"{frame}.txt"),
            objects=tuple(TruthObject(i, parts[i], None, n) for n, i in judged),
        )

    def depth_estimate(self, key: str, estimator: str) -> tuple[np.ndarray, bool]:
        raise UnexpectedLayout("no estimated depth comes with this test set; EstimatedDepthTruth estimates it")


@functools.lru_cache(maxsize=2)
def instances_of_scan(folder: Path, scene: str) -> dict[int, Shape]:
    """Mask value (objectId + 1) to the part of the scan annotated as this instance, without NOT_OBJECTS."""
    scan = read_shape(need(folder / f"{scene}_vh_clean_2.ply", "the scan"))
    segments_path = folder / f"{scene}_vh_clean_2.0.010000.segs.json"
    segment_V = np.asarray(need_key(read_json(segments_path, "the segments"), ["segIndices"], segments_path))
    if len(segment_V) != len(scan.vertices_V3):
        raise UnexpectedLayout(
            f"{segments_path} has {len(segment_V)} entries, the scan {len(scan.vertices_V3)} vertices"
        )
    path = folder / f"{scene}.aggregation.json"
    groups = need_key(read_json(path, "the instances"), ["segGroups"], path)
    parts = {}
    for group in groups:
        if need_key(group, ["label"], path) in NOT_OBJECTS:
            continue
        inside_V = np.isin(segment_V, need_key(group, ["segments"], path))
        faces_F3 = scan.faces_F3[inside_V[scan.faces_F3].all(axis=1)]
        if len(faces_F3):
            parts[int(need_key(group, ["objectId"], path)) + 1] = _compact(scan, faces_F3)
    return parts


def _compact(scan: Shape, faces_F3: np.ndarray) -> Shape:
    """These faces of the scan, with the vertices that they use."""
    used, inverse = np.unique(faces_F3, return_inverse=True)
    colors = None if scan.colors_V3 is None else scan.colors_V3[used]
    return Shape(scan.vertices_V3[used], inverse.reshape(-1, 3), colors)


def _registered(depth: np.ndarray, K_depth: np.ndarray, K_px: np.ndarray, size_HW: tuple[int, ...]) -> np.ndarray:
    """Depth at the pixels of the colour image: nearest neighbour, 0 outside.

    The two cameras are taken to share their centre and axes.
    """
    rows, columns = np.indices(size_HW) + 0.5
    u = (columns - K_px[0, 2]) / K_px[0, 0] * K_depth[0, 0] + K_depth[0, 2]
    v = (rows - K_px[1, 2]) / K_px[1, 1] * K_depth[1, 1] + K_depth[1, 2]
    u, v = np.floor(u).astype(int), np.floor(v).astype(int)
    inside = (u >= 0) & (v >= 0) & (u < depth.shape[1]) & (v < depth.shape[0])
    return np.where(inside, depth[v.clip(0, depth.shape[0] - 1), u.clip(0, depth.shape[1] - 1)], 0)


def _matrix_file(path: Path) -> np.ndarray:
    """(4, 4) of a text file. Raises UnexpectedLayout."""
    try:
        return matrix(np.loadtxt(need(path, "a camera matrix")), (4, 4), path)
    except ValueError as error:
        raise UnexpectedLayout(f"{path} must hold 4x4 numbers: {error}") from error
