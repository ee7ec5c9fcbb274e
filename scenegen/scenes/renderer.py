"""What the job engine asks of a renderer; Blender and the box renderer both answer to it."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from scenegen.contract.records import ViewImages
from scenegen.layout.spec import CameraSpec, SceneSpec


class Renderer(Protocol):
    """Draws scenes one after the other in one process."""

    def render(self, spec: SceneSpec) -> Iterator[ViewImages]:
        """The views of the scene in their order, each as soon as it is ready.

        Raises AssetError if an asset cannot be used (the caller samples the scene again without it),
        SceneError for anything else that belongs to this scene alone.
        """
        ...

    def close(self) -> None:
        """Free what the renderer holds."""
        ...


class CleanImages(Protocol):
    """One view of an asset alone; shapes as in scenegen.contract.objects.ObjectView."""

    @property
    def rgba(self) -> np.ndarray: ...

    @property
    def depth(self) -> np.ndarray: ...


class ViewRenderer(Protocol):
    """Draws assets alone, one after the other in one process."""

    def render(self, uid: str, cameras: Sequence[CameraSpec], samples: int) -> Iterator[CleanImages]:
        """The views in the order of the cameras, whose world is the canonical frame of the asset.

        Raises AssetError if the asset cannot be used, SceneError for anything else that belongs to it alone.
        """
        ...

    def close(self) -> None:
        """Free what the renderer holds."""
        ...
