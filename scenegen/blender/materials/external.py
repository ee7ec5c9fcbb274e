"""External materials: folders of PBR texture sets and .blend files.

Their textures use the plane's UV map, which repeats every TILE_M metres at scale 1 (see room.py).
"""

import re
from pathlib import Path

import bpy

from scenegen.blender.materials.shader_nodes import Canvas, Signal
from scenegen.blender.runtime import version
from scenegen.errors import AssetError
from scenegen.layout.spec import MaterialSpec

TILE_M = 2.0  # side of one repeat of a texture set at scale 1
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".exr", ".webp", ".bmp", ".tga"}
MAX_BLEND_BYTES = 512 * 2**20
MAX_IMAGE_BYTES = 256 * 2**20
# File name endings of the usual texture libraries.
CHANNELS = {
    "color": r"(base_?colou?r|albedo|diff(use)?|colou?r|col)",
    "roughness": r"(rough(ness)?)",
    "metallic": r"(metal(lic|ness|ic)?)",
    "normal": r"(normal(_?gl)?|nor(_?gl)?|nrm)",
    "height": r"(height|disp(lacement)?|bump)",
}


def load_external(path: Path, spec: MaterialSpec) -> "bpy.types.Material":
    """The material of a folder, from its maps, or the first material of a .blend file.

    Raises AssetError if it is neither, too large, or an image of it cannot be read.
    """
    if path.is_dir():
        return _texture_set(path, spec)
    if path.suffix.lower() == ".blend" and path.is_file():
        return _from_blend(path, spec)
    raise AssetError(spec.uid, f"{path} is neither a folder of textures nor a .blend file")


def find_maps(folder: Path) -> dict[str, Path]:
    """Channel -> image file, by the usual endings of names, e.g. oak_Color.jpg, oak_NormalGL.png."""
    maps: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() not in IMAGE_SUFFIXES or not file.is_file():
            continue
        for channel, pattern in CHANNELS.items():
            if channel not in maps and re.search(rf"(^|[_\-. ]){pattern}([_\-. ]\d+k)?$", file.stem, re.IGNORECASE):
                maps[channel] = file
    return maps


def _texture_set(folder: Path, spec: MaterialSpec) -> "bpy.types.Material":
    maps = find_maps(folder)
    if "color" not in maps:
        raise AssetError(spec.uid, f"{folder} holds no colour map (a file such as name_Color.jpg)")
    material = bpy.data.materials.new(spec.uid)
    version.use_nodes(material)
    material.node_tree.nodes.clear()
    canvas = Canvas(material.node_tree)
    shader, output = canvas.node("BsdfPrincipled"), canvas.node("OutputMaterial")
    canvas.feed(shader.inputs["Base Color"], _image(canvas, maps["color"], spec, is_data=False))
    for channel, socket in (("roughness", "Roughness"), ("metallic", "Metallic")):
        if channel in maps:
            canvas.feed(shader.inputs[socket], _image(canvas, maps[channel], spec))
    if "normal" in maps:
        normal = canvas.node("NormalMap", space="TANGENT")
        canvas.feed(normal.inputs["Color"], _image(canvas, maps["normal"], spec))
        canvas.feed(shader.inputs["Normal"], canvas.out(normal))
    elif "height" in maps:
        bump = canvas.node("Bump")
        bump.inputs["Distance"].default_value = 0.02
        canvas.feed(bump.inputs["Height"], _image(canvas, maps["height"], spec))
        canvas.feed(shader.inputs["Normal"], canvas.out(bump))
    canvas.tree.links.new(shader.outputs["BSDF"], output.inputs["Surface"])
    return material


def _from_blend(path: Path, spec: MaterialSpec) -> "bpy.types.Material":
    if path.stat().st_size > MAX_BLEND_BYTES:
        raise AssetError(spec.uid, f"{path.name} is larger than {MAX_BLEND_BYTES >> 20} MB")
    try:
        with bpy.data.libraries.load(str(path), link=False) as (stored, wanted):
            wanted.materials = stored.materials[:1]
    except (OSError, RuntimeError) as error:
        raise AssetError(spec.uid, f"{path.name} cannot be opened ({str(error).strip()})") from None
    material = wanted.materials[0] if wanted.materials else None
    if material is None or material.node_tree is None:
        raise AssetError(spec.uid, f"{path.name} holds no material with nodes")
    _check_images(material.node_tree, spec.uid)
    return material


def _image(canvas: Canvas, path: Path, spec: MaterialSpec, is_data: bool = True) -> Signal:
    if path.stat().st_size > MAX_IMAGE_BYTES:
        raise AssetError(spec.uid, f"{path.name} is larger than {MAX_IMAGE_BYTES >> 20} MB")
    try:
        image = bpy.data.images.load(str(path), check_existing=True)
    except RuntimeError as error:
        raise AssetError(spec.uid, f"{path.name} cannot be opened ({str(error).strip()})") from None
    if 0 in image.size:
        raise AssetError(spec.uid, f"{path.name} is not an image")
    if is_data:
        image.colorspace_settings.name = "Non-Color"
    return canvas.out(canvas.node("TexImage", image=image), "Color")


def _check_images(tree: "bpy.types.NodeTree", uid: str) -> None:
    for node in tree.nodes:
        if node.type == "GROUP" and node.node_tree:
            _check_images(node.node_tree, uid)
        elif getattr(node, "image", None) is not None and 0 in node.image.size:
            raise AssetError(uid, f"texture {node.image.name!r} is missing or cannot be read")
