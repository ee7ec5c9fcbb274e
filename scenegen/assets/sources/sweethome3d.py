"""SweetHome3D furniture libraries (.sh3f): a zip of OBJ models with a catalogue and old Phong materials."""

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from scenegen.assets.bake_request import PrincipledLook
from scenegen.assets.sources.raw import RawAsset, hashed_split
from scenegen.errors import SceneGenError

CATALOGUE = "PluginFurnitureCatalog.properties"
# SPDX id, commercial use, of each library of the Debian package (its copyright file says so).
LICENCES = {
    "BlendSwap-CC-0": "CC0-1.0",
    "BlendSwap-CC-BY": "CC-BY-3.0",
    "KatorLegaz": "CC-BY-3.0-US",
    "Reallusion": "CC-BY-3.0-US",
    "Scopia": "CC-BY-3.0",
}
UID_PREFIXES = {
    "BlendSwap-CC-0": "blendswap-cc0",
    "BlendSwap-CC-BY": "blendswap-ccby",
    "KatorLegaz": "katorlegaz",
    "Reallusion": "reallusion",
    "Scopia": "scopia",
}
HOLDERS = {
    "KatorLegaz": "Andrew Kator & Jennifer Legaz",
    "Reallusion": "Reallusion",
    "Scopia": "Scopia Visual Interfaces Systems, s.l.",
}
# Only at the end of a name does the word say what the object is ("front door", but not "glass door cabinet").
NOT_FURNITURE = re.compile(
    r"\b(doors?|windows?|stair\w*|shutters?|blinds?|people|person|man|woman|male|female|boy|girl)$", re.I
)
FIXED_CATEGORIES = {"Doors and windows", "Staircases", "Characters"}
ANIMALS = re.compile(r"\b(chicken|horse|deer|\w*dog|cat|cow|bird|fish|rabbit)\b", re.I)


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """One piece of furniture. size_cm: (width x, depth y, height z). fixture: a part of a building, or a person."""

    name: str
    category: str
    model: str
    creator: str
    size_cm: tuple[float, float, float]
    rotation: tuple[float, ...] | None
    fixture: bool


def read_library(sh3f: Path, exclude: frozenset[str] = frozenset()) -> Iterator[RawAsset]:
    """The usable models of a library: no people, doors, windows or stairs, and none of `exclude` (model names).

    Raises SceneGenError if the file is not a furniture library.
    """
    licence = LICENCES.get(sh3f.stem)
    if licence is None:
        raise SceneGenError(f"{sh3f.name} is not a library whose licence is known ({', '.join(sorted(LICENCES))})")
    try:
        with zipfile.ZipFile(sh3f) as archive:
            names = set(archive.namelist())
            for entry in parse_catalogue(archive.read(CATALOGUE).decode("latin-1")):
                key = PurePosixPath(entry.model).stem
                if not entry.fixture and key not in exclude and entry.model in names:
                    yield _raw(sh3f, archive, entry, licence)
    except (zipfile.BadZipFile, KeyError) as error:
        raise SceneGenError(f"{sh3f} is not a SweetHome3D furniture library ({error}); download it again") from None


def parse_catalogue(text: str) -> list[CatalogueEntry]:
    """The entries of a catalogue that name a model, in its order."""
    items: dict[int, dict[str, str]] = {}
    for line in text.splitlines():
        if match := re.match(r"(\w+)#(\d+)\s*=\s*(.*)", line.strip()):
            items.setdefault(int(match[2]), {})[match[1]] = match[3].encode().decode("unicode_escape")
    return [_entry(item) for _, item in sorted(items.items()) if "model" in item]


def _entry(item: dict[str, str]) -> CatalogueEntry:
    numbers = [float(value) for value in item.get("modelRotation", "").split()]
    words = f"{item.get('name', '')} {item.get('tags', '')}"
    animal = ANIMALS.search(words) is not None
    fixture = (
        item.get("doorOrWindow") == "true"
        or "staircaseCutOutShape" in item
        or (item.get("category") in FIXED_CATEGORIES and not animal)
        or NOT_FURNITURE.search(item.get("name", "").strip()) is not None
    )
    return CatalogueEntry(
        item.get("name", ""),
        item.get("category", ""),
        item["model"].lstrip("/"),
        item.get("creator", ""),
        (float(item["width"]), float(item["depth"]), float(item["height"])),
        _z_up_rotation(numbers) if len(numbers) == 9 else None,
        fixture,
    )


def _z_up_rotation(R: list[float]) -> tuple[float, ...]:
    """The catalogue's rotation acts on y-up coordinates; conjugate it into Blender's z-up frame, (x, -z, y)."""
    to_y_up = ((1, 0, 0), (0, 0, 1), (0, -1, 0))
    rows = [R[0:3], R[3:6], R[6:9]]
    half = [[sum(rows[i][k] * to_y_up[k][j] for k in range(3)) for j in range(3)] for i in range(3)]
    return tuple(sum(to_y_up[k][i] * half[k][j] for k in range(3)) for i in range(3) for j in range(3))


def _raw(sh3f: Path, archive: zipfile.ZipFile, entry: CatalogueEntry, licence: str) -> RawAsset:
    folder, key = str(PurePosixPath(entry.model).parent), PurePosixPath(entry.model).stem
    uid = f"{UID_PREFIXES[sh3f.stem]}-{_slug(key)}"
    author = HOLDERS.get(sh3f.stem, entry.creator)
    return RawAsset(
        uid=uid,
        source=f"sweethome3d/{sh3f.stem}",
        path=entry.model,
        root=folder,
        archive=str(sh3f),
        split=hashed_split(uid, 0.8, 0.1),
        licence=licence,
        author=author,
        attribution=f'"{entry.name}" by {author}, from the SweetHome3D library {sh3f.stem}, {licence}',
        commercial_use=True,
        name=entry.name,
        category=entry.category,
        rotation=entry.rotation,
        looks=tuple(_looks(archive, folder).items()),
        label=f"{sh3f.name}/{entry.model}",
    )


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", text).lower()).strip("-")


def _looks(archive: zipfile.ZipFile, folder: str) -> dict[str, PrincipledLook]:
    looks: dict[str, PrincipledLook] = {}
    for name in archive.namelist():
        if name.startswith(f"{folder}/") and name.lower().endswith(".mtl"):
            looks.update(looks_from_mtl(archive.read(name).decode("utf-8", "replace")))
    return looks


def looks_from_mtl(text: str) -> dict[str, PrincipledLook]:
    """Principled looks of a Phong material library.

    The Phong lobe (n + 2) / 2pi cos^n has the width of a GGX lobe of roughness^2 = sqrt(2 / (n + 2)) (the usual
    exponent to roughness equation). A strong grey highlight over a dark diffuse colour reads as metal.
    """
    looks: dict[str, PrincipledLook] = {}
    name = ""
    values: dict[str, list[str]] = {}
    for line in [*text.splitlines(), "newmtl "]:
        words = line.split()
        if not words:
            continue
        if words[0] == "newmtl":
            if name:
                looks[name] = _look(values)
            name, values = line.strip()[7:].strip(), {}
        else:
            values[words[0].lower()] = words[1:]
    return looks


def _look(values: dict[str, list[str]]) -> PrincipledLook:
    diffuse, specular = _rgb(values, "kd", 0.6), _rgb(values, "ks", 0.0)
    exponent = min(max(_number(values, "ns", 10.0), 0.0), 1000.0)
    alpha = _number(values, "d", 1.0 - _number(values, "tr", 0.0))
    shine, body = max(specular), max(diffuse)
    roughness = min(0.9, max(0.12, (2.0 / (exponent + 2.0)) ** 0.25))
    if shine < 0.05:
        roughness = max(roughness, 0.7)
    metallic = 1.0 if shine >= 0.7 and exponent >= 40 and body <= shine and alpha > 0.99 and _grey(diffuse) else 0.0
    # A metal's colour is that of its reflection, which Phong has in the highlight: it is lighter than the diffuse
    # colour.
    color = tuple(0.35 + 0.65 * channel if metallic else channel for channel in diffuse)
    glow = max(_rgb(values, "ke", 0.0))
    red, green, blue = (_linear(min(max(channel, 0.02), 0.92)) for channel in color)
    return PrincipledLook((red, green, blue), metallic, roughness, max(alpha, 0.12), 2.0 if glow > 0.5 else 0.0)


def _grey(color: tuple[float, ...]) -> bool:
    return max(color) - min(color) < 0.12


def _rgb(values: dict[str, list[str]], key: str, default: float) -> tuple[float, float, float]:
    try:
        r, g, b = (float(word) for word in values[key][:3])
    except (KeyError, ValueError):
        return default, default, default
    return r, g, b


def _number(values: dict[str, list[str]], key: str, default: float) -> float:
    try:
        return float(values[key][0])
    except (KeyError, ValueError, IndexError):
        return default


def _linear(channel: float) -> float:
    """sRGB display value to linear."""
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4
