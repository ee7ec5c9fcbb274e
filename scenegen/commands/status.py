"""`scenegen status`: how far a dataset is."""

import json
import sys
from dataclasses import dataclass
from typing import Annotated

import tyro

from scenegen.commands.options import open_root
from scenegen.errors import EXIT_DONE


@dataclass(frozen=True)
class Status:
    """Show how much of a dataset is finished.

    Read from its ledgers and its spool; no shard is opened.
    """

    out: Annotated[str, tyro.conf.arg(aliases=["--data"])] = "data/"
    """The dataset: a folder or an object-store URI."""
    json: bool = False
    """Print JSON, for machines."""

    def run(self) -> int:
        from scenegen.shards.config_file import require_config
        from scenegen.shards.status import describe, read_status

        root = open_root(self.out)
        status = read_status(root, require_config(root).config)
        sys.stdout.write((json.dumps(status.to_dict()) if self.json else describe(root, status)) + "\n")
        return EXIT_DONE
