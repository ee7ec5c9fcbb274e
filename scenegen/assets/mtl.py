"""Material libraries of OBJ files: read as programs write them, and written as Blender's importer reads them."""

import re
from collections.abc import Iterator
from pathlib import Path

from scenegen.assets.lookup import find_file

MAP_KEYS = re.compile(r"map_\w+|bump|disp|decal|refl|norm", re.IGNORECASE)
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.IGNORECASE)
_MTLLIB = re.compile(rb"^(?:\xef\xbb\xbf)?[ \t]*mtllib[ \t]+([^\r\n]+)", re.MULTILINE)
_SCAN = 1 << 24


def libraries(obj: Path) -> list[str]:
    """The arguments of an OBJ file's mtllib statements, as written, each once."""
    names: dict[str, None] = {}
    with obj.open("rb") as file:
        tail = b""
        while block := file.read(_SCAN):
            text = tail + block
            names |= dict.fromkeys(_text(match[1]).strip() for match in _MTLLIB.finditer(text))
            tail = text[text.rfind(b"\n") + 1 :][-4096:]
    return list(names)


def library_files(argument: str, folder: Path, root: Path) -> list[Path]:
    """The files of one statement: one name with blanks in it, or several names. Empty if one is missing."""
    whole = find_file(argument, folder, root)
    if whole is not None:
        return [whole]
    found = [find_file(word, folder, root) for word in argument.split()]
    return [path for path in found if path is not None] if all(found) else []


def statements(library: Path) -> Iterator[tuple[str, str]]:
    """(keyword, argument) of each line. Bytes that are no UTF-8 survive as surrogates."""
    for line in re.split(r"[\r\n]+", _text(library.read_bytes()).removeprefix("\ufeff")):
        words = line.split(maxsplit=1)
        if words and not words[0].startswith("#"):
            yield words[0], words[1].strip() if len(words) == 2 else ""


def map_file(argument: str, folder: Path, root: Path) -> tuple[str, Path | None]:
    """(options, file) of a map statement such as `-s 1 1 1 -bm 0.2 wood grain.png`; no file if none is there."""
    words = argument.split(" ")
    for start in range(len(words)):
        if start == 0 or words[0].startswith("-"):
            found = find_file(" ".join(words[start:]), folder, root)
            if found is not None:
                return " ".join(words[:start]), found
    return "", None


def map_name(argument: str) -> str:
    """The file name after the options of a map statement, by their form alone."""
    words = argument.split(" ")
    while words and words[0].startswith("-"):
        words.pop(0)
        while words and (words[0] in ("on", "off", "") or _NUMBER.fullmatch(words[0])):
            words.pop(0)
    return " ".join(words)


def settled_library(obj: Path, folder: Path, root: Path) -> bytes:
    """All materials that an OBJ file may use, as one library whose images are named by their full paths.

    folder: where the model's names are looked up. The library that is named first wins, and one of the model's own
    name is read last, named or not. A picture that only the ambient map names (photogrammetry) is the colour. A
    missing image stays as it is written.
    """
    files = [file for name in libraries(obj) for file in library_files(name, folder, root)]
    own = find_file(obj.with_suffix(".mtl").name, folder, root)
    lines: list[str] = []
    seen: set[str] = set()
    for file in dict.fromkeys([*files, *([own] if own else [])]):
        materials = _materials(file, root)
        for name, material in materials.items():
            lines += [f"newmtl {name}", *_coloured(material)] if name not in seen else []
        seen |= materials.keys()
    return "".join(line + "\n" for line in lines).encode("utf-8", "surrogateescape")


def _materials(library: Path, root: Path) -> dict[str, list[tuple[str, str]]]:
    """name -> its statements, with the images that are there under their full paths."""
    materials: dict[str, list[tuple[str, str]]] = {}
    current: list[tuple[str, str]] = []
    for key, argument in statements(library):
        if key.lower() == "newmtl":
            current = materials.setdefault(argument, [])
            continue
        if MAP_KEYS.fullmatch(key):
            options, image = map_file(argument, library.parent, root)
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
