"""glTF files that nothing here decodes: refused, with what to do."""

import json
from pathlib import Path

from tests.assets.models import Model
from tests.real_files.gltf_parts import (
    basis_model,
    palette_case,
    red_tetra,
    require,
    tetra_mesh,
)
from tests.real_files.model_case import (
    Expected,
    ModelCase,
    refused,
)


def basis_texture(folder: Path) -> Expected:
    model = basis_model(required=True)
    model.glb(folder / "basis_texture.glb")
    return refused("KHR_texture_basisu", "PNG|JPEG")


def optional_basis_texture(folder: Path) -> Expected:
    """Said to be optional, but the texture has no other picture: shown without, it is white."""
    model = basis_model(required=False)
    model.glb(folder / "optional_basis_texture.glb")
    return refused("KHR_texture_basisu", "PNG|JPEG")


def ktx_named_as_source(folder: Path) -> Expected:
    """A picture of a kind that nothing here decodes, without any extension."""
    palette_case(folder, "ktx_named_as_source.glb", b"\xabKTX 20\xbb\r\n\x1a\n" + bytes(80), "image/ktx2")
    return refused("KTX2", "PNG|JPEG")


def meshopt(folder: Path) -> Expected:
    model = Model()
    model.node(mesh=red_tetra(model))
    for view in model.document["bufferViews"]:
        view["extensions"] = {"EXT_meshopt_compression": {**view, "mode": "ATTRIBUTES", "count": 1}}
    require(model, "EXT_meshopt_compression")
    model.glb(folder / "meshopt.glb")
    return refused("EXT_meshopt_compression", "gltfpack -i")


def unknown_extension(folder: Path) -> Expected:
    model = Model()
    model.node(mesh=red_tetra(model))
    require(model, "ACME_secret_geometry")
    model.glb(folder / "unknown_extension.glb")
    return refused("ACME_secret_geometry", "export|convert")


def only_lines(folder: Path) -> Expected:
    model = Model()
    model.node(mesh=tetra_mesh(model, mode=1))
    model.glb(folder / "only_lines.glb")
    return refused("zero faces")


def gltf_one(folder: Path) -> Expected:
    text = {"asset": {"version": "1.0"}, "scenes": {"s": {"nodes": ["n"]}}, "nodes": {"n": {}}, "meshes": {}}
    (folder / "gltf_one.gltf").write_text(json.dumps(text))
    return refused("glTF version 1.0", "2.0")


CASES = (
    ModelCase("basis_texture", "KhronosGroup/glTF-Blender-IO 1920, 1896", basis_texture),
    ModelCase("optional_basis_texture", "KhronosGroup/glTF-Blender-IO 1920", optional_basis_texture),
    ModelCase("ktx_named_as_source", "KhronosGroup/glTF-Blender-IO 1896", ktx_named_as_source),
    ModelCase("meshopt", "KhronosGroup/glTF-Blender-IO 1460, 2690", meshopt),
    ModelCase("unknown_extension", "KhronosGroup/glTF-Blender-IO 1173", unknown_extension),
    ModelCase("only_lines", "glTF specification", only_lines),
    ModelCase("gltf_one", "facebookresearch/habitat-sim 54", gltf_one),
)
