"""`scenegen verify`: whether a dataset is what it promises to be."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from scenegen.commands.options import open_root
from scenegen.errors import EXIT_DONE, EXIT_ERROR


@dataclass(frozen=True)
class Verify:
    """Check every hash and every row of a dataset; change nothing.

    Also that every scene is there exactly once. Depth sidecars and objects tables are checked where there are any.

    Exit codes: 0 everything is as promised, 1 something is not, and it is named.
    """

    out: Annotated[str, tyro.conf.arg(aliases=["--data"])] = "data/"
    """The dataset: a folder or an object-store URI."""
    deep: bool = False
    """Also check, with an independent physics engine, that no two objects of a scene interpenetrate."""
    objects: str | None = None
    """Where the objects tables are. Default: beside the views."""
    workers: int = 1
    """Shards that are checked at the same time."""

    def run(self) -> int:
        from scenegen.verify.run import verify

        root = open_root(self.out)
        objects = open_root(self.objects) if self.objects else root
        return EXIT_DONE if verify(root, self.deep, self.workers, objects) else EXIT_ERROR
