"""Training, completion and evaluation, and the geometry and sampling they share.

What is public in Python is in `__all__`: completing the objects of an image. The rest may change without notice.
Everything is imported at its first use, so that `import pipelines` needs no PyTorch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.complete.export.glb import write_scene
    from pipelines.complete.pipeline import FixerPipeline
    from pipelines.complete.results import Completion, InstanceCompletion
    from pipelines.complete.settings import Samplers, Settings
    from pipelines.complete.view import Camera, SceneView
    from pipelines.errors import PipelineError, UsageError
    from pipelines.samplers import SamplerConfig

__all__ = [
    "Camera",
    "Completion",
    "FixerPipeline",
    "InstanceCompletion",
    "PipelineError",
    "SamplerConfig",
    "Samplers",
    "SceneView",
    "Settings",
    "UsageError",
    "write_scene",
]

_MODULES = {
    "pipelines.complete.export.glb": ("write_scene",),
    "pipelines.complete.pipeline": ("FixerPipeline",),
    "pipelines.complete.results": ("Completion", "InstanceCompletion"),
    "pipelines.complete.settings": ("Samplers", "Settings"),
    "pipelines.complete.view": ("Camera", "SceneView"),
    "pipelines.errors": ("PipelineError", "UsageError"),
    "pipelines.samplers": ("SamplerConfig",),
}


def __getattr__(name: str) -> Any:
    """A public name from its module, imported now (PEP 562)."""
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
