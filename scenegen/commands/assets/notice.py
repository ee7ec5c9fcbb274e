"""`scenegen assets notice`: the attribution text of the assets that a dataset uses."""

import sys
from dataclasses import dataclass
from pathlib import Path

from scenegen.assets.library import AssetLibrary
from scenegen.assets.manifest import AssetRecord
from scenegen.assets.notice import notice, records_of_scenes
from scenegen.commands.options import open_root
from scenegen.config import AssetsConfig
from scenegen.errors import EXIT_DONE


@dataclass(frozen=True)
class Notice:
    """Print the attribution text of the assets that a dataset uses, or of whole stores."""

    data: str | None = None
    """A dataset; only the assets in its scenes are named."""
    store: tuple[str, ...] = ("starter",)
    """Stores to look the assets up in; the dataset's own configuration goes before."""
    out: Path | None = None
    """Write to this file instead of the terminal."""

    def run(self) -> int:
        """Print or write the text."""
        text = notice(self._records())
        if self.out is None:
            sys.stdout.write(text + "\n")
        else:
            self.out.write_text(text)
            sys.stdout.write(f"{self.out} written\n")
        return EXIT_DONE

    def _records(self) -> list[AssetRecord]:
        if self.data is None:
            library = AssetLibrary.open(AssetsConfig(objects=self.store, split="all"))
            return list(library.records.values())
        from scenegen.contract.dataset import Dataset
        from scenegen.shards.config_file import require_config

        config = require_config(open_root(self.data)).config
        return records_of_scenes(Dataset.open(self.data).scenes(), config.assets)
