"""Material libraries of OBJ files: read in all the ways that programs write them, written as Blender reads them."""

import re
from collections.abc import Iterator
from pathlib import Path

from scenegen.assets.model_files.lookup import find_file

MAP_KEYS = re.compile(r"map_\w+|bump|disp|decal|refl|norm", re.IGNORECASE)
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.IGNORECASE)
# What Blender's importer treats as white space: control characters and, in an OBJ file, the backslash too.
_BLANK = rb"[\x00-\x09\x0b-\x20\\]"
_MTLLIB = re.compile(rb"^(?:\xef\xbb\xbf)?%b*mtllib%b+([^\r\n]+)" % (_BLANK, _BLANK), re.MULTILINE)
_CONTROL = dict.fromkeys([*range(0x0A), 0x0B, 0x0C, *range(0x0E, 0x20)], " ")
_NAMES = re.compile(r".+?\.mtl(?=\s|$)", re.IGNORECASE)
# How many words follow an option of a map statement: at least, and at most if they are numbers.
_OPTIONS = {
    **dict.fromkeys(("-blendu", "-blendv", "-boost", "-bm", "-cc", "-clamp", "-imfchan", "-texres", "-type"), (1, 1)),
    **dict.fromkeys(("-o", "-s", "-t"), (1, 3)),
    "-mm": (2, 2),
}
_SCAN = 1 << 24


def libraries(obj: Path) -> list[str]:
    """The libraries that an OBJ file's mtllib statements name, as written, each once."""
    names: dict[str, None] = {}
    with obj.open("rb") as file:
        tail = b""
        while block := file.read(_SCAN):
            text = tail + block
            for match in _MTLLIB.finditer(text):
                names |= dict.fromkeys(library_names(_text(match[1]).strip()))
            tail = text[text.rfind(b"\n") + 1 :][-4096:]
    return list(names)


def library_names(argument: str) -> list[str]:
    """The names in one mtllib statement. There may be several, and each may contain spaces."""
    return [name.strip() for name in _NAMES.findall(argument)] or [argument]


def statements(library: Path) -> Iterator[tuple[str, str]]:
    """(keyword, argument) of each line. Bytes that are not UTF-8 are kept as surrogates."""
    for line in re.split(r"[\r\n]+", _text(library.read_bytes()).removeprefix("\ufeff").translate(_CONTROL)):
        words = line.split(maxsplit=1)
        if words and not words[0].startswith("#"):
            yield words[0], words[1].strip() if len(words) == 2 else ""


def map_name(argument: str) -> tuple[str, str]:
    """(options, file name) of a map statement such as `-s 1 1 1 -bm 0.2 wood grain.png`."""
    words, end = argument.split(" "), 0
    while end < len(words) and words[end].lower() in _OPTIONS:
        least, most = _OPTIONS[words[end].lower()]
        end += 1 + least
        while most > least and end < len(words) and (not words[end] or _NUMBER.fullmatch(words[end])):
            end, most = end + 1, most - bool(words[end])
    return " ".join(words[:end]), " ".join(words[end:]).strip()


def merged_library(obj: Path, folder: Path, root: Path) -> bytes:
    """All materials that an OBJ file may use, as one library whose images are named by their full paths.

    folder: where the names in the model are looked up. If libraries define the same material, the one named first
    wins; the library with the model's own name is read last, also if it is not named. An image that only the ambient
    map names (as in photogrammetry) becomes the colour. A missing image keeps the name that was written.
    """
    names = [*libraries(obj), obj.with_suffix(".mtl").name]
    files = [file for name in names if (file := find_file(name, folder, root)) is not None]
    lines: list[str] = []
    seen: set[str] = set()
    for file in dict.fromkeys(files):
        materials = _materials(file, root)
        for name, material in materials.items():
            lines += [f"newmtl {name}", *_coloured(material)] if name not in seen else []
        seen |= materials.keys()
    return "".join(line + "\n" for line in lines).encode("utf-8", "surrogateescape")


def _materials(library: Path, root: Path) -> dict[str, list[tuple[str, str]]]:
    """name -> its statements; images that exist are named by their full paths."""
    materials: dict[str, list[tuple[str, str]]] = {}
    current: list[tuple[str, str]] = []
    for key, argument in statements(library):
        if key.lower() == "newmtl":
            current = materials.setdefault(argument, [])
            continue
        if MAP_KEYS.fullmatch(key):
            options, name = map_name(argument)
            image = find_file(name, library.parent, root)
            argument = f"{options} {image}".strip() if image is not None else argument
        current.append((key, argument))
    return materials


def _coloured(material: list[tuple[str, str]]) -> list[str]:
    maps = {key.lower(): argument for key, argument in material}
    lines = [f"{key} {argument}" for key, argument in material]
    if "map_ka" in maps and "map_kd" not in maps:
        lines.append(f"map_Kd {maps['map_ka']}")
    return lines


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
