"""Where the package's own data is: beside the package, in a checkout as well as in site-packages."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
MANIFESTS = PACKAGE.parents[1] / "assets_manifest"
