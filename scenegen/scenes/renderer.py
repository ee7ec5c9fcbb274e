"""What a renderer must do. Blender and the box renderer both follow these protocols."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from scenegen.contract.records import ViewImages
from scenegen.layout.spec import CameraSpec, SceneSpec


class Renderer(Protocol):
    """Draws scenes, one after the other in one process."""

    def render(self, spec: SceneSpec) -> Iterator[ViewImages]:
        """Yields the views of the scene in their order, each as soon as it is ready.

        Raises AssetError if an asset cannot be used (the caller then samples the scene again without it),
        SceneError for any other failure of this scene alone.
        """
        ...

    def close(self) -> None:
        """Free what the renderer holds."""
        ...


class CleanImages(Protocol):
    """One view of a single asset; shapes as in scenegen.contract.objects.ObjectView."""

    @property
    def rgba(self) -> np.ndarray: ...

    @property
    def depth(self) -> np.ndarray: ...


class ViewRenderer(Protocol):
    """Draws single assets, one after the other in one process."""

    def render(self, uid: str, cameras: Sequence[CameraSpec], samples: int) -> Iterator[CleanImages]:
        """Yields the views in the order of the cameras, whose world frame is the canonical frame of the asset.

        samples: most samples of a pixel.
        Raises AssetError if the asset cannot be used, SceneError for any other failure of this asset alone.
        """
        ...

    def close(self) -> None:
        """Free what the renderer holds."""
        ...
