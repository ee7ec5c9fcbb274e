"""Packs a renderer for a machine that has neither Blender nor Python 3.11 nor a network nor a root user.

    python tests/benchmarks/gpu_rendering/pack.py PARTS [--mib 50] [--architecture sm_90] [--leave-out ray fixer3d]

Run it where the render extra is installed. It takes this interpreter, its standard library, the packages of the render
extra, this project, and every shared library that they link to here except glibc's own; Blender without what only
windows, AMD and Intel cards or other NVIDIA cards need. PARTS gets one xz archive in files of at most --mib MiB, their
hashes in manifest.json, and unpack.py, which puts them together.

--architecture compiles Cycles' kernels for a card that Blender has none for (H100 and H200: sm_90), with CUDA's
`ptxas`. Without it the card's driver does that at the first render, which takes minutes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import lzma
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[3]
PROJECT, EXTRA = "fixer3d", "render"
HOME = "python"  # of the interpreter, in the archive
LIBRARIES = "lib"
SITE = f"{HOME}/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
_KERNELS = "bpy/*/scripts/addons_core/cycles/lib"

# By path below site-packages or the standard library. What is left out is never imported by a scene's process.
_LEFT_OUT = (
    "*/__pycache__/*",
    "*/tests/*",
    "*/test/*",
    "*.pyi",
    "*.h",
    "*.hpp",
    "*.a",
    "*.pyx",
    "*.pxd",
    "bpy/*/python/*",  # Blender's own copy of what stands beside it here
    "bpy/*/datafiles/assets/*",
    "bpy/*/datafiles/fonts/*",
    "bpy/*/datafiles/studiolights/matcap/*",
    "bpy/*/datafiles/studiolights/studio/*",  # but not studiolights/world: scenes are lit by them
    "bpy/*/scripts/addons_core/rigify/*",
    "bpy/lib/libOpenImageDenoise_device_hip*",
    "bpy/lib/libOpenImageDenoise_device_sycl*",
    f"{_KERNELS}/kernel_*.fatbin.zst",
    f"{_KERNELS}/kernel_*.hipfb.zst",
    f"{_KERNELS}/kernel_sm_*.cubin.zst",
    f"{_KERNELS}/kernel_optix_osl*",
    "pybullet_data/*",
    "pybullet_envs/*",
    "pybullet_examples/*",
    "pybullet_robots/*",
    "pybullet_utils/*",
    "pyarrow/src/*",
    "pyarrow/*flight*",
    "pyarrow/*gandiva*",
    "eglRenderer*",
    "test/*",
    "idlelib/*",
    "tkinter/*",
    "lib-dynload/_tkinter*",
    "turtledemo/*",
    "lib2to3/*",
    "ensurepip/*",
    "config-*",
    "site-packages/*",
    "dist-packages/*",
)
_OF_GLIBC = re.compile(r"(ld-linux.*|lib(c|m|dl|rt|util|pthread|resolv|nsl|anl|mvec|crypt)(-[\d.]+)?)\.so(\.\d+)*")
_LARGE_BYTES = 2 << 20
_GLIBC_SYMBOL = re.compile(rb"GLIBC_2\.(\d+)\0")


@dataclass(frozen=True, slots=True)
class Item:
    """A file, and its name in the archive."""

    source: Path
    name: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", type=Path)
    parser.add_argument("--mib", type=float, default=50, help="largest size of a part")
    parser.add_argument("--architecture", default="", help="compile Cycles' kernels for it, for example sm_90")
    parser.add_argument("--leave-out", nargs="*", default=[], help=f"packages; {PROJECT} is this project itself")
    parser.add_argument("--preset", type=int, default=1, help="of xz, 0 to 9")
    options = parser.parse_args()
    leave_out = {canonicalize_name(name) for name in options.leave_out}
    with tempfile.TemporaryDirectory() as scratch:
        items = [*interpreter(), *packages(leave_out)]
        if PROJECT not in leave_out:
            items += project()
        if options.architecture:
            items.append(compiled_kernels(items, options.architecture, options.parts))
        items += shared_libraries(items)
        items = [stripped(item, Path(scratch)) for item in items]
        write(options.parts, items, int(options.mib * 2**20), options.preset)


def interpreter() -> Iterator[Item]:
    """This interpreter and its standard library."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    yield Item(Path(sys.executable).resolve(), f"{HOME}/bin/{version}")
    yield from _files_below(Path(sysconfig.get_path("stdlib")), f"{HOME}/lib/{version}")


def packages(leave_out: set[str]) -> Iterator[Item]:
    """The files of the render extra's packages and of all that they require."""
    for name in sorted(_closure(PROJECT, (EXTRA,), leave_out) - {PROJECT}):
        for file in distribution(name).files or ():
            source = Path(str(file.locate()))
            if ".." not in file.parts and source.is_file() and _is_wanted(str(file)):
                yield Item(source.resolve(), f"{SITE}/{file}")


def project() -> Iterator[Item]:
    """The packages of this project that scenes need, as they are in this checkout."""
    for name in ("scenegen", "assets_manifest"):
        yield from _files_below(ROOT / name, f"{SITE}/{name}")


def compiled_kernels(items: Iterable[Item], architecture: str, folder: Path) -> Item:
    """Cycles' CUDA kernels for an architecture, made of the PTX in the wheel, under the name that Cycles looks for.

    They are kept in the folder, since compiling takes many minutes.
    """
    ptx = next(item for item in items if fnmatch(item.name, "*/kernel_compute_*.ptx.zst"))
    kept = folder / f"bpy-{distribution('bpy').version}-{architecture}.cubin.zst"
    if not kept.is_file():
        for tool in ("ptxas", "zstd"):
            if not shutil.which(tool):
                raise SystemExit(
                    f"--architecture needs {tool}; install it (ptxas is in CUDA's toolkit), or leave that out"
                )
        text, cubin = folder / "kernels.ptx", folder / "kernels.cubin"
        folder.mkdir(parents=True, exist_ok=True)
        print(f"compiling {Path(ptx.name).name} for {architecture}: many minutes", flush=True)
        subprocess.run(["zstd", "-dqf", ptx.source, "-o", text], check=True)
        subprocess.run(["ptxas", f"-arch={architecture}", "-O3", text, "-o", cubin], check=True)
        subprocess.run(["zstd", "-qf", "--rm", cubin, "-o", kept], check=True)
        text.unlink()
    return Item(kept, str(Path(ptx.name).with_name(f"kernel_{architecture}.cubin.zst")))


def shared_libraries(items: Iterable[Item]) -> Iterator[Item]:
    """What the loader finds here for all of these files, except glibc and what is packed already."""
    packed = {item.source for item in items}
    found: dict[str, Path] = {}
    for item in items:
        if item.source in packed and _is_elf(item.source):
            done = subprocess.run(["ldd", item.source], capture_output=True, text=True, check=False)
            for name, place in re.findall(r"(\S+) => (/\S+) \(", done.stdout):
                if not _OF_GLIBC.fullmatch(name):
                    found.setdefault(name, Path(place).resolve())
    yield from (Item(place, f"{LIBRARIES}/{name}") for name, place in sorted(found.items()) if place not in packed)


def stripped(item: Item, scratch: Path) -> Item:
    """A large ELF file without its symbols, which nothing here reads: pybullet's are 94 % of it."""
    if item.source.stat().st_size < _LARGE_BYTES or not _is_elf(item.source):
        return item
    smaller = scratch / item.name.replace("/", "+")
    subprocess.run(["strip", "--strip-unneeded", item.source, "-o", smaller], check=True, capture_output=True)
    return Item(smaller, item.name) if smaller.stat().st_size < 0.9 * item.source.stat().st_size else item


def write(folder: Path, items: Iterable[Item], part_bytes: int, preset: int) -> None:
    """The archive's parts and manifest, and the script that unpacks them. What was there before is replaced."""
    files = sorted({item.name: item for item in items}.values(), key=lambda item: item.name)
    folder.mkdir(parents=True, exist_ok=True)
    for old in (*folder.glob("part-???"), *folder.glob("manifest.json")):
        old.unlink()
    parts = Parts(folder, part_bytes)
    with lzma.open(parts, "wb", preset=preset) as packed, tarfile.open(fileobj=packed, mode="w|") as tar:
        for item in files:
            tar.add(item.source, item.name, filter=_anonymous)
    parts.close()
    manifest = {
        "glibc": f"2.{max(_glibc_minor(item.source) for item in files)}",
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "bpy": distribution("bpy").version,
        "files": len(files),
        "bytes": sum(item.source.stat().st_size for item in files),
        "parts": parts.written,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    shutil.copy(Path(__file__).with_name("unpack.py"), folder)
    size = sum(part["bytes"] for part in parts.written)
    print(
        f"{folder}: {len(parts.written)} parts, {size / 2**20:.0f} MiB, of {manifest['bytes'] / 2**20:.0f} MiB in "
        f"{len(files)} files; needs glibc {manifest['glibc']} or newer",
        flush=True,
    )


class Parts:
    """A file for writing that is cut into part-000, part-001 and so on."""

    def __init__(self, folder: Path, part_bytes: int) -> None:
        self.written: list[dict] = []
        self._folder, self._part_bytes = folder, part_bytes
        self._waiting = bytearray()

    def write(self, data: bytes) -> int:
        self._waiting += data
        while len(self._waiting) >= self._part_bytes:
            self._put(self._part_bytes)
        return len(data)

    def close(self) -> None:
        if self._waiting:
            self._put(len(self._waiting))

    def _put(self, size: int) -> None:
        content, name = bytes(self._waiting[:size]), f"part-{len(self.written):03d}"
        del self._waiting[:size]
        (self._folder / name).write_bytes(content)
        self.written.append({"name": name, "bytes": size, "sha256": hashlib.sha256(content).hexdigest()})


def _closure(name: str, extras: tuple[str, ...], leave_out: set[str]) -> set[str]:
    """A package and, by name, all that it requires here."""
    name = canonicalize_name(name)
    found = {name}
    for text in distribution(name).requires or ():
        needed = Requirement(text)
        holds = needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in (*extras, ""))
        if holds and canonicalize_name(needed.name) not in found | leave_out:
            found |= _closure(needed.name, tuple(needed.extras), leave_out)
    return found


def _files_below(folder: Path, name: str) -> Iterator[Item]:
    for file in sorted(folder.rglob("*")):
        below = str(file.relative_to(folder))
        if file.is_file() and _is_wanted(below):
            yield Item(file.resolve(), f"{name}/{below}")


def _is_wanted(below: str) -> bool:
    return not any(fnmatch(below, pattern) or fnmatch(f"/{below}", pattern) for pattern in _LEFT_OUT)


def _is_elf(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(4) == b"\x7fELF"


def _glibc_minor(file: Path) -> int:
    """The newest glibc 2.x of which an ELF file names a symbol version; 0 for other files."""
    return max(map(int, _GLIBC_SYMBOL.findall(file.read_bytes())), default=0) if _is_elf(file) else 0


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    return entry


if __name__ == "__main__":
    main()
