"""The formats by name."""

import importlib
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from scenegen.export.exporter import Exporter

FormatName = Literal["coco", "bop", "hdf5", "nerfstudio", "webdataset", "glb", "usd"]
_CLASSES: dict[FormatName, tuple[str, str]] = {
    "coco": ("coco", "CocoExporter"),
    "bop": ("bop", "BopExporter"),
    "hdf5": ("hdf5", "Hdf5Exporter"),
    "nerfstudio": ("nerfstudio", "NerfstudioExporter"),
    "webdataset": ("webdataset", "WebDatasetExporter"),
    "glb": ("gltf", "GlbExporter"),
    "usd": ("usd", "UsdExporter"),
}


def exporter_of(name: FormatName | str) -> "type[Exporter]":
    """The class that writes a format; its module alone is loaded. Raises KeyError for a name that is none."""
    module, kind = _CLASSES[name]  # type: ignore[index]
    found: type[Exporter] = getattr(importlib.import_module(f"scenegen.export.{module}"), kind)
    return found
