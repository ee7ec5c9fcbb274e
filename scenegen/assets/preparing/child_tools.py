"""Blender and CoACD in killable child processes with time limits, for the steps of preparing an asset."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scenegen.assets.bake_request import BakedAsset, BakeRequest
from scenegen.assets.preparing.convex import ConvexParts, convex_parts, fallback_parts
from scenegen.errors import AssetError, SceneGenError
from scenegen.jobs.child import ChildDiedError, ChildTimeoutError, KillableChild


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """Time limits for one asset, in seconds, and the memory limit of each child process, in bytes."""

    bake_s: float = 120.0
    parts_s: float = 60.0
    memory_bytes: int = 12 << 30


def bake_in_child(request: BakeRequest, out: Path) -> BakedAsset:
    from scenegen.blender.importing.canonicalise import canonicalise

    return canonicalise(request, out)


def check_pose_in_child(uid: str, path: Path) -> float:
    from scenegen.blender.importing.canonicalise import check_pose

    return check_pose(uid, path)


def blender_step(name: str, *args: object) -> object:
    """The function that the Blender child serves, for both steps, so that Blender starts once for many assets."""
    steps: dict[str, Callable[..., object]] = {"bake": bake_in_child, "check_pose": check_pose_in_child}
    return steps[name](*args)


def parts_step(vertices: np.ndarray, faces: np.ndarray) -> ConvexParts:
    """The function that the CoACD child serves."""
    return convex_parts(vertices, faces)


class ChildTools:
    """The `Tools` of asset.py, with one child process for Blender and one for CoACD. Use it as a context manager."""

    def __init__(self, limits: TimeLimits = TimeLimits()) -> None:
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # of CoACD: one asset is prepared on each core
        self._limits = limits
        self._blender = KillableChild(f"{__name__}:blender_step", limits.memory_bytes)
        self._coacd = KillableChild(f"{__name__}:parts_step", limits.memory_bytes)

    def __enter__(self) -> "ChildTools":
        return self

    def __exit__(self, *_: object) -> None:
        self._blender.close()
        self._coacd.close()

    def bake(self, request: BakeRequest, out: Path) -> BakedAsset:
        return self._in_blender(request.uid, "bake", request, out)

    def check_pose(self, uid: str, path: Path) -> float:
        return self._in_blender(uid, "check_pose", uid, path)

    def convex_parts(self, uid: str, vertices: np.ndarray, faces: np.ndarray) -> ConvexParts:
        """CoACD's parts; if it fails or takes too long, `fallback_parts`, whose method says why."""
        try:
            return self._coacd.call(self._limits.parts_s, vertices, faces)
        except ChildTimeoutError as error:
            return fallback_parts(vertices, faces, f"CoACD {error}")
        except (ChildDiedError, ValueError, RuntimeError) as error:
            return fallback_parts(vertices, faces, f"CoACD: {str(error).splitlines()[-1][:120]}")

    def _in_blender(self, uid: str, step: str, *args: object) -> Any:
        try:
            return self._blender.call(self._limits.bake_s, step, *args)
        except ChildTimeoutError as error:
            raise AssetError(uid, f"{step} {error}") from None
        except ChildDiedError as error:
            raise AssetError(uid, f"{step} {error}") from None
        except SceneGenError:  # an AssetError, or a process that does not start
            raise
        except Exception as error:  # noqa: BLE001 - a malformed file may cause any error in Blender
            raise AssetError(
                uid, f"{step} failed: {str(error).splitlines()[-1][:200] or type(error).__name__}"
            ) from None
