"""The images of an imported asset: found, loaded, scaled down, or reported as missing."""

from pathlib import Path

import bpy

from scenegen.assets.model_files.lookup import find_file
from scenegen.blender.importing.material_looks import nodes_of


def resolve_images(folder: Path, root: Path, texture_px: int) -> list[str]:
    """Load every image that a material uses, scale it down, and return the names of those that are missing.

    folder: of the model; names that lead nowhere are looked up from there. texture_px: largest side. Images outside
    `root` are not read and count as missing. Missing images are unlinked, so that the material's own colour shows
    instead of magenta.
    """
    missing = []
    for image in list(bpy.data.images):
        if image.source not in {"FILE", "GENERATED"} or image.type == "RENDER_RESULT" or not image.users:
            continue
        if image.packed_file is None and image.source == "FILE" and not _is_inside(image, root):
            found = find_file(image.filepath.removeprefix("//"), folder, root)
            if found is None:
                missing.append(_what_is_missing(image))
                bpy.data.images.remove(image)
                continue
            image.filepath = str(found)
            image.reload()
        width, height = image.size
        if not width or not height:
            missing.append(Path(image.filepath).name or image.name)
            bpy.data.images.remove(image)
            continue
        longest = max(width, height)
        if longest > texture_px:
            image.scale(max(1, width * texture_px // longest), max(1, height * texture_px // longest))
        if image.channels < 4 or not _alpha_used(image):
            image.file_format = "JPEG"
    _unlink_empty_image_nodes()
    return missing


def _path(image: bpy.types.Image) -> Path:
    return Path(bpy.path.abspath(image.filepath, library=image.library)).resolve()


def _is_inside(image: bpy.types.Image, root: Path) -> bool:
    return _path(image).is_relative_to(root.resolve()) and _path(image).is_file()


def _what_is_missing(image: bpy.types.Image) -> str:
    path = _path(image)
    return f"{path.name} (outside the asset's folder)" if path.is_file() else path.name


def _alpha_used(image: bpy.types.Image) -> bool:
    return any(
        node.type == "TEX_IMAGE" and node.image == image and node.outputs["Alpha"].is_linked
        for node in nodes_of(bpy.data.materials)
    )


def _unlink_empty_image_nodes() -> None:
    for material in bpy.data.materials:
        for node in list(material.node_tree.nodes) if material.use_nodes else ():
            if node.type == "TEX_IMAGE" and node.image is None:
                material.node_tree.nodes.remove(node)
