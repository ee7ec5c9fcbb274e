"""fixer-complete: one image with instance masks in, complete textured objects in place out."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.complete.pipeline import FixerPipeline
    from pipelines.complete.results import Completion, InstanceCompletion
    from pipelines.complete.settings import Settings
    from pipelines.complete.view import Camera, SceneView

__all__ = ["Camera", "Completion", "FixerPipeline", "InstanceCompletion", "SceneView", "Settings"]

_MODULES = {
    "Camera": "view",
    "Completion": "results",
    "FixerPipeline": "pipeline",
    "InstanceCompletion": "results",
    "SceneView": "view",
    "Settings": "settings",
}


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first used, so that the help of the command does not load torch."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
