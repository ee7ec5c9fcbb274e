"""fixer-complete: one image with instance masks in, complete textured objects in place out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.complete.pipeline import FixerPipeline
    from pipelines.complete.results import Completion, InstanceCompletion, Settings
    from pipelines.complete.view import Camera, SceneView

__all__ = ["Camera", "Completion", "FixerPipeline", "InstanceCompletion", "SceneView", "Settings"]

_HOMES = {"FixerPipeline": "pipeline", "Camera": "view", "SceneView": "view"}


def __getattr__(name: str) -> Any:
    """Loaded on first use, so that the command's help needs no torch."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOMES.get(name, 'results')}"), name)
