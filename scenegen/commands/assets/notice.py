"""`scenegen assets notice`: the attribution text of the assets that a dataset uses."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scenegen.commands.options import open_root
from scenegen.config import AssetsConfig
from scenegen.errors import EXIT_DONE

if TYPE_CHECKING:
    from scenegen.assets.manifest import AssetRecord


@dataclass(frozen=True)
class Notice:
    """Print the attribution that the assets of a dataset ask for."""

    data: str | None = None
    """A dataset, of which the assets in its scenes are named. Default: all assets of --store."""
    store: tuple[str, ...] = ("starter",)
    """Prepared stores, "starter" or folders, if no dataset says them."""
    out: Path | None = None
    """A file that gets the text. Default: the terminal."""

    def run(self) -> int:
        """Print or write the text."""
        from scenegen.assets.notice import notice

        text = notice(self._records())
        if self.out is None:
            sys.stdout.write(text + "\n")
        else:
            self.out.write_text(text)
            sys.stdout.write(f"{self.out} written\n")
        return EXIT_DONE

    def _records(self) -> "list[AssetRecord]":
        if self.data is None:
            from scenegen.assets.library import AssetLibrary

            library = AssetLibrary.open(AssetsConfig(objects=self.store, split="all"))
            return list(library.records.values())
        from scenegen.assets.notice import records_of_scenes
        from scenegen.contract.dataset import Dataset
        from scenegen.shards.config_file import require_config

        config = require_config(open_root(self.data)).config
        return records_of_scenes(Dataset.open(self.data).scenes(), config.assets)
