"""`scenegen merge`: the index and the data card of a finished dataset."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from scenegen.commands.options import open_root, tell
from scenegen.errors import EXIT_DONE


@dataclass(frozen=True)
class Merge:
    """Write the index and the data card of a finished dataset.

    scenegen render does so at its end; array jobs need it once. It also removes temporary files that killed processes
    have left: run it while nothing renders into the folder.
    """

    out: Annotated[str, tyro.conf.arg(aliases=["--data"])] = "data/"
    """The dataset: a folder or an object-store URI."""

    def run(self) -> int:
        from scenegen.shards.config_file import require_config
        from scenegen.shards.ledger import finished_shards
        from scenegen.shards.merge import merge, remove_leftovers

        root = open_root(self.out).to_write()
        config = require_config(root).config
        index = merge(root, config, [*finished_shards(root, config, range(config.num_shards)).values()])
        remove_leftovers(root)
        tell(f"{self.out}: {index.num_shards} shards, {index.totals['views']} views, {index.totals['bytes']} bytes")
        return EXIT_DONE
