"""`scenegen assets fetch`: get a public collection of models."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from scenegen.errors import EXIT_DONE


@dataclass(frozen=True)
class Fetch:
    """Download a public collection of models.

    sweethome3d is the Debian package sweethome3d-furniture (120 MB).
    """

    what: tyro.conf.Positional[Literal["sweethome3d"]] = "sweethome3d"
    """Which collection."""
    out: Path = Path("assets/sweethome3d")
    """The folder that gets the .sh3f libraries and their attribution file."""
    deb: Path | None = None
    """The package as a local file, instead of downloading it."""

    def run(self) -> int:
        """Download, unpack, write ATTRIBUTION.txt, and say what to do next."""
        from scenegen.assets.sources.fetch import fetch_sweethome3d

        libraries = fetch_sweethome3d(self.out, self.deb)
        for path, count in libraries:
            sys.stdout.write(f"{path}: {count} usable models\n")
        sys.stdout.write(f"next: scenegen assets prepare --source sweethome3d --input {self.out} --out STORE\n")
        return EXIT_DONE
