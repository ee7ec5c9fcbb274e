"""What the job engine asks of a renderer; Blender and the box renderer both answer to it."""

from collections.abc import Iterator
from typing import Protocol

from scenegen.contract.records import ViewImages
from scenegen.layout.spec import SceneSpec


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
