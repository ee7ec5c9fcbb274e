"""Textures in the header of a PLY file: there is no standard, but MeshLab's convention."""

import re

# Blender's importer reads the first pair only, so that the others are renamed to it.
UV_NAMES = (("s", "t"), ("u", "v"), ("texture_u", "texture_v"), ("texture_s", "texture_t"))


def texture_name(header: str) -> str:
    """The image that the comment TextureFile names; empty without one."""
    found = re.search(r"^comment\s+TextureFile\s+(\S[^\r\n]*)", header, re.MULTILINE)
    return found[1].strip() if found else ""


def has_vertex_uv(header: str) -> bool:
    return uv_names(header) is not None


def uv_names(header: str) -> tuple[str, str] | None:
    """The names of the vertices' texture coordinates; None without any."""
    vertex = re.search(r"^element\s+vertex\s.*?(?=^element|\Z)", header, re.MULTILINE | re.DOTALL)
    properties = re.findall(r"^property\s+\w+\s+(\w+)\s*$", vertex[0] if vertex else "", re.MULTILINE)
    return next((pair for pair in UV_NAMES if set(pair) <= set(properties)), None)


def with_uv_names(header: bytes, names: tuple[str, str]) -> bytes:
    """The header with the texture coordinates `names` renamed to those that Blender reads."""
    for old, new in zip(names, UV_NAMES[0], strict=True):
        header = re.sub(rb"(property\s+\w+\s+)%b(\s)" % old.encode(), rb"\g<1>%b\g<2>" % new.encode(), header)
    return header
