"""Geometry and clean renders of one asset, made in a killable child process with a time limit.

`AssetProcess` is used by the parent; `serve` and what it calls run in the child.
"""

import functools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from scenegen.assets.library import AssetLibrary
from scenegen.config import DatasetConfig
from scenegen.contract.crops import object_crop
from scenegen.contract.objects import VIEW_KINDS, ObjectGeometry, ObjectView, StepMeta, ViewKind, encode_object_view
from scenegen.contract.storage import Root
from scenegen.contract.validate_objects import geometry_problems, object_view_problems
from scenegen.contract.voxels import surface_voxels
from scenegen.errors import AssetError, SceneError, SceneGenError
from scenegen.jobs.child import ChildDiedError, ChildTimeoutError, KillableChild
from scenegen.jobs.restarts import RetryBudget
from scenegen.layout.clean_cameras import clean_cameras
from scenegen.objects.options import ObjectOptions
from scenegen.scenes.box_renderer import BoxLibrary, BoxViewRenderer
from scenegen.scenes.factory import open_library
from scenegen.scenes.renderer import ViewRenderer
from scenegen.shards.object_spool import spool_asset
from scenegen.shards.objects import ObjectShard

GEOMETRY_LIMIT_S = 300.0
_CRASHES = 2  # of the process, until the asset is recorded as failed


@dataclass(frozen=True, slots=True)
class AssetWork:
    """What the child process needs to know.

    location: of the tables. config: says in which stores the assets are, and how the scenes are rendered.
    view_timeout_s: time limit of one view. target: the function that the child serves; see `serve`.
    """

    location: str
    config: DatasetConfig
    options: ObjectOptions
    meta: StepMeta
    device: str = "auto"
    view_timeout_s: float = 900.0
    target: str = f"{__name__}:serve"


class AssetProcess:
    """One child process, which opens the asset stores, and Blender when the first views are asked for."""

    def __init__(self, work: AssetWork, threads: int, memory_bytes: int = 0) -> None:
        """threads: CPU threads of Cycles. memory_bytes: limit of the child's data segment; 0 means none."""
        self._work, self._threads = work, threads
        self._child = KillableChild(work.target, memory_bytes)

    def geometry(self, uid: str, sha256: str) -> ObjectGeometry:
        """The mesh and voxels of an asset. Raises AssetError with the reason if it cannot be used."""
        try:
            return self._child.call(GEOMETRY_LIMIT_S, "geometry", self._work.config, uid, sha256)
        except Exception as error:  # noqa: BLE001 - a malformed file may cause any error
            raise _asset_error(uid, "geometry", error) from None

    def spool_views(self, shard: ObjectShard, uid: str) -> Iterator[dict[str, float]]:
        """Render all views of an asset and put them into the spool.

        Yields the seconds that each view took, {"render": ..., "encode": ...}.
        Raises AssetError if the asset cannot be rendered, SceneGenError for an error that every asset would meet.
        """
        budget = RetryBudget(_CRASHES)
        while True:
            try:
                yield from self._child.stream(self._work.view_timeout_s, "views", self._work, self._threads, shard, uid)
            except ChildDiedError as error:
                if not budget.allows_another_try(error.end):
                    raise _asset_error(uid, "views", error) from None
            except Exception as error:  # noqa: BLE001 - as above
                raise _asset_error(uid, "views", error) from None
            else:
                return

    def close(self) -> None:
        self._child.close()


def _asset_error(uid: str, step: str, error: Exception) -> SceneGenError:
    """The error to raise for one asset; an error that every asset would meet is returned unchanged."""
    if isinstance(error, SceneGenError) and not isinstance(error, AssetError | SceneError):
        return error
    if isinstance(error, AssetError):
        return AssetError(uid, error.reason)
    known = isinstance(error, ChildTimeoutError | ChildDiedError | SceneError)
    lines = str(error).splitlines() or [""]
    return AssetError(
        uid, f"{step}: {lines[-1][:200]}" if known else f"{step}: {type(error).__name__}: {lines[-1][:200]}"
    )


def serve(step: str, *args: Any) -> Any:
    """The function that the child process serves. step: "geometry" or "views"."""
    steps: dict[str, Callable[..., Any]] = {"geometry": make_geometry, "views": render_views}
    return steps[step](*args)


def make_geometry(config: DatasetConfig, uid: str, sha256: str) -> ObjectGeometry:
    """The canonical mesh and its voxels. Raises AssetError if the store's file is not the one with this sha256."""
    library = _library(config)
    if uid not in library.records:
        raise AssetError(uid, f"not in the stores {', '.join(config.assets.objects)}; it was there for the scenes")
    record = library.records[uid]
    if record.sha256 != sha256:
        raise AssetError(uid, "its file in the store is not the one that the scenes show (sha256 differs)")
    mesh = library.mesh(uid)
    voxels = surface_voxels(mesh.vertices, mesh.faces)
    geometry = ObjectGeometry(uid, sha256, record.licence, record.split, mesh.vertices, mesh.faces, voxels)
    for problem in geometry_problems(geometry):
        raise AssetError(uid, problem)
    return geometry


def render_views(work: AssetWork, threads: int, shard: ObjectShard, uid: str) -> Iterator[dict[str, float]]:
    """Render, check, encode and spool all views of an asset; see AssetProcess.spool_views."""
    options, renderer = work.options, _renderer(work.config, work.device, threads)
    cameras = [
        (kind, index, camera)
        for kind in VIEW_KINDS
        for index, camera in enumerate(clean_cameras(kind, *_count_and_size(options, kind), options.object_seed, uid))
    ]
    rows = []
    started = time.perf_counter()
    images_of_views = renderer.render(uid, [camera for _, _, camera in cameras], options.samples)
    for (kind, index, camera), images in zip(cameras, images_of_views, strict=True):
        rendered = time.perf_counter()
        crop = object_crop(images.rgba, options.crop_px) if kind == "condition" and images.rgba[..., 3].any() else None
        view = ObjectView(
            uid, kind, index, camera.size_px, camera.K_px, camera.matrix_world, images.rgba, images.depth, crop
        )
        for problem in object_view_problems(view):
            raise SceneError(f"{kind} view {index}: {problem}")
        rows.append(encode_object_view(view))
        encoded = time.perf_counter()
        yield {"render": rendered - started, "encode": encoded - rendered}
        started = encoded
    spool_asset(Root.open(work.location), shard, work.meta, uid, rows)


def _count_and_size(options: ObjectOptions, kind: ViewKind) -> tuple[int, int]:
    if kind == "condition":
        return options.condition_views, options.condition_px
    return options.feature_views, options.feature_px


@functools.cache
def _library(config: DatasetConfig) -> AssetLibrary | BoxLibrary:
    return open_library(config)


@functools.cache
def _renderer(config: DatasetConfig, device: str, threads: int) -> ViewRenderer:
    """The one renderer of this process: Blender's state is global, and it is slow to open."""
    library = _library(config)
    if isinstance(library, BoxLibrary):
        return BoxViewRenderer(library)
    from scenegen.blender.clean_views import CleanViewRenderer

    return CleanViewRenderer(library, config.render, device, threads)
