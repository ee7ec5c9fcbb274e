"""Ground truth in the layout of MIDI's 3D-FRONT test set.

    ROOT/3D-FRONT-TEST-RENDER/<house>/<room>/meta.json, render_0000.webp, depth_0000.exr, semantic_0000.png
    ROOT/3D-FRONT-TEST-SCENE/<room>/<furniture>.npy      surface_points
    ROOT/midi_test_room_ids.json, midi_test_furniture_ids.json

Known from the released evaluation script: the files, the labels 1..n, `surface_points`. The set was not at hand; the
following is assumed, and checked where possible: room ids are "<house>/<room>"; furniture ids are a mapping of rooms to
lists, or a list of "<room>/<furniture>"; label i is the i-th furniture of its room; meta.json holds `locations[0]` with
`transform_matrix` (OpenGL, camera to world) and `camera_angle_x`; depth is planar, in world units.
The set is offered with MIDI (VAST-AI-Research/MIDI-3D, data on its Hugging Face page); nothing is downloaded here.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.errors import PipelineError
from pipelines.evaluate.files.checked import UnexpectedLayout, matrix, need, need_key, read_grey, read_json, read_rgb
from pipelines.evaluate.records.shapes import Shape
from pipelines.evaluate.records.truth import TruthObject, TruthView
from pipelines.evaluate.truth.cameras import from_opengl, pinhole
from pipelines.evaluate.truth.selection import evenly_spaced, midi_labels

RENDERS, SCENES = "3D-FRONT-TEST-RENDER", "3D-FRONT-TEST-SCENE"
ROOMS, FURNITURE = "midi_test_room_ids.json", "midi_test_furniture_ids.json"
_NO_DEPTH = 1e6  # Blender writes 1e10 where nothing was hit


@dataclass(frozen=True, slots=True)
class Front3dTruth:
    """One view a room. furniture: room to the names of its pieces, in the order of their labels."""

    root: Path
    keys: tuple[str, ...]
    furniture: dict[str, list[str]]
    name: str = "front3d"

    @classmethod
    def open(cls, root: Path, limit: int) -> Front3dTruth:
        """Raises UnexpectedLayout."""
        need(root / RENDERS, "the renders of the 3D-FRONT test set")
        need(root / SCENES, "the scenes of the 3D-FRONT test set")
        rooms = read_json(root / ROOMS, "the list of rooms")
        if not isinstance(rooms, list) or not all(isinstance(room, str) and room.count("/") == 1 for room in rooms):
            raise UnexpectedLayout(f'{root / ROOMS} must be a list of "<house>/<room>", found {str(rooms)[:80]}')
        furniture = _by_room(read_json(root / FURNITURE, "the list of furniture"), root / FURNITURE)
        return cls(root, tuple(evenly_spaced(rooms, limit)), furniture)

    def view(self, key: str) -> TruthView:
        folder, room = self.root / RENDERS / key, key.split("/")[1]
        path = folder / "meta.json"
        meta = read_json(path, "the description of a view")
        camera = need_key(meta, ["locations"], path)[0]
        fov = need_key({**meta, **camera}, ["camera_angle_x"], path)
        rgb_HW3 = read_rgb(folder / "render_0000.webp")
        labels_HW = read_grey(folder / "semantic_0000.png", "the instance masks")
        names = need_key(self.furniture, [room], self.root / FURNITURE)
        if labels_HW.max() > len(names):
            raise UnexpectedLayout(f"{key} has labels up to {labels_HW.max()}, but {len(names)} pieces of furniture")
        return TruthView(
            key=key,
            scene=room,
            rgb_HW3=rgb_HW3,
            instance_HW=labels_HW.astype(np.uint16),
            depth_HW=_read_exr(folder / "depth_0000.exr"),
            K_px=pinhole((rgb_HW3.shape[1], rgb_HW3.shape[0]), float(fov)),
            T_world_cam=from_opengl(matrix(need_key(camera, ["transform_matrix"], path), (4, 4), path)),
            objects=tuple(self._object(room, names[i - 1], i, labels_HW) for i in midi_labels(labels_HW)),
        )

    def depth_estimate(self, key: str, estimator: str) -> tuple[np.ndarray, bool]:
        raise UnexpectedLayout("no estimated depth comes with this test set; EstimatedDepthTruth estimates it")

    def _object(self, room: str, name: str, label: int, labels_HW: np.ndarray) -> TruthObject:
        points = read_surface_points(need(self.root / SCENES / room / f"{name}.npy", "the points of a furniture"))
        return TruthObject(label, Shape.of_points(points), None, int((labels_HW == label).sum()), asset_uid=name)


def read_surface_points(path: Path) -> np.ndarray:
    """(N, 3) of an .npy file that holds the array, or a pickled dict with `surface_points`.

    Only NumPy's own types are unpickled: a file from the internet must not run code. Raises UnexpectedLayout.
    """
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read_header: Callable[[Any], Any] = getattr(np.lib.format, f"read_array_header_{version[0]}_0")
            dtype = read_header(file)[2]
            values = _NumpyOnly(file).load() if dtype.hasobject else np.load(path)
    except (ValueError, pickle.UnpicklingError, AttributeError, EOFError) as error:
        raise UnexpectedLayout(f"{path} cannot be read as points: {error}") from error
    if isinstance(values, np.ndarray) and values.dtype == object:
        values = values.item()
    points = need_key(values, ["surface_points"], path) if isinstance(values, dict) else values
    points = np.asarray(points, np.float64)
    if points.ndim != 2 or points.shape[1] < 3 or not len(points):
        raise UnexpectedLayout(f"{path} must hold points (N, 3), found shape {points.shape}")
    return points[:, :3]


class _NumpyOnly(pickle.Unpickler):
    """Unpickles arrays and plain containers only."""

    _ALLOWED = frozenset({"_reconstruct", "ndarray", "dtype", "scalar"})

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] == "numpy" and name in self._ALLOWED:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it wants to load {module}.{name}")


def _by_room(values: Any, where: Path) -> dict[str, list[str]]:
    if isinstance(values, dict):
        return {room.split("/")[-1]: [str(name) for name in names] for room, names in values.items()}
    rooms: dict[str, list[str]] = {}
    for value in values if isinstance(values, list) else [None]:
        if not isinstance(value, str) or "/" not in value:
            raise UnexpectedLayout(f'{where} must map rooms to furniture or list "<room>/<furniture>"; found {value!r}')
        rooms.setdefault(value.split("/")[-2], []).append(value.split("/")[-1])
    return rooms


def _read_exr(path: Path) -> np.ndarray:
    """(H, W) float32, NaN where nothing was hit; the first channel of the file."""
    try:
        import OpenEXR
    except ImportError as error:
        raise PipelineError("reading this test set's depth needs a package: pip install OpenEXR") from error
    channels = OpenEXR.File(str(need(path, "the depth"))).channels()
    depth = np.asarray(next(iter(channels.values())).pixels, np.float32)
    depth = depth[..., 0] if depth.ndim == 3 else depth
    return np.where(depth < _NO_DEPTH, depth, np.nan)
