"""`scenegen verify`: whether a dataset is what it promises to be."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from scenegen.commands.options import open_root
from scenegen.errors import EXIT_DONE, EXIT_ERROR


@dataclass(frozen=True)
class Verify:
    """Check every hash, every row, and that every scene is there once; exit code 1 if not. Changes nothing.

    Depth sidecars and objects tables are checked as well, where there are any.
    """

    out: Annotated[str, tyro.conf.arg(aliases=["--data"])] = "data/"
    deep: bool = False
    """Also check with an independent engine that no two objects of a scene interpenetrate."""
    objects: str | None = None
    """Where the objects tables are, if not beside the views."""
    workers: int = 1
    """Shards looked at at a time."""

    def run(self) -> int:
        from scenegen.verify.run import verify

        root = open_root(self.out)
        objects = open_root(self.objects) if self.objects else root
        return EXIT_DONE if verify(root, self.deep, self.workers, objects) else EXIT_ERROR
