"""Downloads a public collection: the Debian package of SweetHome3D's furniture, with apt's verified download."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from scenegen.assets.notice import notice
from scenegen.assets.sources.raw import RawAsset
from scenegen.assets.sources.sweethome3d import LICENCES, read_library
from scenegen.errors import SceneGenError

PACKAGE = "sweethome3d-furniture"
VERSION = "1.8"
ATTRIBUTION = "ATTRIBUTION.txt"


def fetch_sweethome3d(out: Path, deb: Path | None = None) -> list[tuple[Path, int]]:
    """Put the package's .sh3f libraries, its copyright file and ATTRIBUTION.txt into `out`.

    deb: a package file that is there already. Returns each library with its number of usable models. Libraries that
    are there are kept. Raises SceneGenError saying which tool is missing or failed.
    """
    out.mkdir(parents=True, exist_ok=True)
    if not all((out / f"{name}.sh3f").is_file() for name in LICENCES):
        with tempfile.TemporaryDirectory(dir=out) as scratch:
            package = deb or _download(Path(scratch))
            unpacked = Path(scratch) / "unpacked"
            _run(["dpkg-deb", "-x", str(package), str(unpacked)])
            _take(unpacked, out)
    assets: list[RawAsset] = []
    counts = []
    for name in sorted(LICENCES):
        found = list(read_library(out / f"{name}.sh3f"))
        counts.append((out / f"{name}.sh3f", len(found)))
        assets += found
    (out / ATTRIBUTION).write_text(notice(assets))
    return counts


def _download(folder: Path) -> Path:
    """The .deb, its checksum verified by apt against the signed index."""
    _run(["apt-get", "download", PACKAGE], cwd=folder)
    found = sorted(folder.glob(f"{PACKAGE}_*.deb"))
    if not found:
        raise SceneGenError(f"apt-get downloaded no {PACKAGE}; run apt-get update, or give the file with --deb")
    return found[0]


def _take(unpacked: Path, out: Path) -> None:
    found = {path.stem: path for path in unpacked.rglob("*.sh3f")}
    if missing := sorted(LICENCES.keys() - found.keys()):
        raise SceneGenError(f"the package lacks {', '.join(missing)}; {PACKAGE} {VERSION} has them")
    for name in LICENCES:
        shutil.move(found[name], out / f"{name}.sh3f")
    for path in unpacked.rglob("copyright"):
        shutil.copyfile(path, out / "copyright")


def _run(command: list[str], cwd: Path | None = None) -> None:
    try:
        subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise SceneGenError(
            f"{command[0]} is not installed (it belongs to Debian and Ubuntu); unpack the package elsewhere and give "
            "the .sh3f files to: scenegen assets prepare --source sweethome3d"
        ) from None
    except subprocess.CalledProcessError as error:
        lines = (error.stderr or error.stdout or "").strip().splitlines() or ["no message"]
        raise SceneGenError(f"{' '.join(command[:2])} failed ({lines[-1]}); check the network or give --deb") from None
