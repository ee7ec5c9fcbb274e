"""Puts together what pack.py has packed, on the machine that renders. Needs bash and Python 3.10 or newer, no more.

    python3 unpack.py PARTS --into FOLDER

PARTS holds manifest.json and any of its parts: those that are there are checked and kept in FOLDER. Run it again for
the next ones; with the last one everything is unpacked, and FOLDER/bin/python and FOLDER/bin/scenegen work. FOLDER can
be moved afterwards.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import lzma
import os
import shutil
import sys
import tarfile
import time
from pathlib import Path

WAITING = "parts"
READY = "ready.json"
_START = """#!/usr/bin/env bash
here=$(cd "$(dirname "$(readlink -f "${{BASH_SOURCE[0]}}")")/.." && pwd)
export PYTHONHOME="$here/python" PYTHONNOUSERSITE=1 PYTHONDONTWRITEBYTECODE=1
export LD_LIBRARY_PATH="$here/lib:$here/python/lib${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}{driver}"
exec "$here/python/bin/python{version}" {arguments}"$@"
"""
_DRIVER_FOLDERS = ("/usr/local/nvidia/lib64", "/usr/local/nvidia/lib")  # where containers have the driver's libraries


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", type=Path)
    parser.add_argument("--into", type=Path, required=True)
    options = parser.parse_args()
    start = time.monotonic()
    try:
        manifest = json.loads((options.parts / "manifest.json").read_text())
        print(f"{receive(manifest, options.parts, options.into)} ({time.monotonic() - start:.1f} s)")
    except Unusable as error:
        print(f"unpack: {error}", file=sys.stderr)
        return 1
    return 0


class Unusable(Exception):
    """What cannot be unpacked here, and what to do."""


def receive(manifest: dict, parts: Path, into: Path) -> str:
    """Take over the parts that are there and, if none is missing any more, unpack them. Returns what was done."""
    ready = into / READY
    if ready.is_file() and json.loads(ready.read_text()) == manifest:
        return f"ready: {into}/bin/python"
    (into / WAITING).mkdir(parents=True, exist_ok=True)
    kept = []
    for part in manifest["parts"]:
        if keep(part, parts / part["name"], into / WAITING / part["name"]):
            kept.append(into / WAITING / part["name"])
    missing = {part["name"] for part in manifest["parts"]} - {file.name for file in kept}
    if missing:
        return f"{len(kept)} of {len(manifest['parts'])} parts; missing: {', '.join(sorted(missing))}"
    refuse_old_glibc(manifest["glibc"])
    unpack(kept, into)
    write_starters(into, manifest["python"])
    ready.write_text(json.dumps(manifest))
    shutil.rmtree(into / WAITING)
    return f"unpacked {manifest['files']} files; ready: {into}/bin/python"


def keep(part: dict, source: Path, target: Path) -> bool:
    """Copy a part unless it is there; whether it is now. Raises Unusable for a damaged one."""
    if target.is_file() and sha256(target) == part["sha256"]:
        return True
    if not source.is_file():
        return False
    if sha256(source) != part["sha256"]:
        raise Unusable(f"{source} is damaged or of another archive; copy it again, with the manifest beside it")
    shutil.copyfile(source, target.with_suffix(".new"))
    target.with_suffix(".new").replace(target)
    return True


def refuse_old_glibc(needed: str) -> None:
    here = os.confstr("CS_GNU_LIBC_VERSION") if "CS_GNU_LIBC_VERSION" in os.confstr_names else ""
    version = (here or "").rpartition(" ")[2]
    if not version or [*map(int, version.split("."))] < [*map(int, needed.split("."))]:
        raise Unusable(
            f"glibc is {version or 'of no known version'} here, and {needed} is needed; pack on an older system"
        )


def unpack(parts: list[Path], into: Path) -> None:
    with (
        io.BufferedReader(Joined(parts), 1 << 20) as joined,
        lzma.open(joined) as stream,
        tarfile.open(fileobj=stream, mode="r|") as tar,
    ):
        if hasattr(tarfile, "data_filter"):
            tar.extraction_filter = tarfile.data_filter
        tar.extractall(into)


def write_starters(into: Path, version: str) -> None:
    """bin/python and bin/scenegen: they find everything from where they lie, the driver's libraries last."""
    driver = "".join(f":{folder}" for folder in _DRIVER_FOLDERS if Path(folder).is_dir())
    (into / "bin").mkdir(exist_ok=True)
    for name, arguments in (("python", ""), ("scenegen", "-m scenegen.cli ")):
        file = into / "bin" / name
        file.write_text(_START.format(driver=driver, version=version, arguments=arguments))
        file.chmod(0o755)


class Joined(io.RawIOBase):
    """Several files, read as one."""

    def __init__(self, files: list[Path]) -> None:
        self._left = [*files]
        self._open: io.FileIO | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        while True:
            if self._open is None:
                if not self._left:
                    return 0
                self._open = io.FileIO(self._left.pop(0))
            count = self._open.readinto(buffer)
            if count:
                return count
            self._open.close()
            self._open = None


def sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        for block in iter(lambda: opened.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
