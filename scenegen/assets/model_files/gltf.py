"""glTF documents before an importer reads them: refused if it cannot decode them, changed if it would misread them."""

import copy
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from scenegen.assets.model_files.lookup import find_file

# Extensions that Blender's importer decodes, or may ignore without a change of shape or colour.
DECODED = frozenset(
    {
        *("EXT_mesh_gpu_instancing", "EXT_texture_webp", "KHR_animation_pointer", "KHR_draco_mesh_compression"),
        *("KHR_lights_punctual", "KHR_mesh_quantization", "KHR_texture_transform", "KHR_node_visibility"),
        *("KHR_materials_anisotropy", "KHR_materials_clearcoat", "KHR_materials_emissive_strength"),
        *("KHR_materials_ior", "KHR_materials_pbrSpecularGlossiness", "KHR_materials_sheen", "KHR_materials_specular"),
        *("KHR_materials_transmission", "KHR_materials_unlit", "KHR_materials_variants", "KHR_materials_volume"),
    }
)
REMEDIES = {
    "KHR_texture_basisu": "make its KTX2 textures PNG with: gltf-transform ktxdecompress IN.glb OUT.glb",
    "EXT_meshopt_compression": "decompress it with: gltfpack -i IN.glb -o OUT.glb",
    "KHR_meshopt_compression": "decompress it with: gltfpack -i IN.glb -o OUT.glb",
}


class CannotDecodeError(ValueError):
    """The document needs an extension that is not decoded here; the message names it and says what to do."""


def check_decodable(document: dict[str, Any]) -> None:
    """Raises CannotDecodeError for another version, an unknown required extension, or a texture without an image."""
    version = str(document.get("asset", {}).get("version", "unknown"))
    if not version.startswith("2."):
        raise CannotDecodeError(f"glTF version {version}; only 2.0 is read: convert it with gltf-pipeline")
    for name in document.get("extensionsRequired", []):
        if name not in DECODED:
            raise CannotDecodeError(f"needs {name}, which is not decoded here; {_remedy(name)}")
    for texture in document.get("textures", []):
        if "source" not in texture:
            unread = sorted(texture.get("extensions", {}).keys() - {"EXT_texture_webp"})
            if unread and "EXT_texture_webp" not in texture["extensions"]:
                raise CannotDecodeError(
                    f"a texture only has {unread[0]}, which is not decoded here; {_remedy(unread[0])}"
                )
    for image in document.get("images", []):
        if image.get("mimeType") == "image/ktx2" and _is_source(document, image):
            raise CannotDecodeError(f"a KTX2 image, which is not decoded here; {_remedy('KHR_texture_basisu')}")


def _remedy(extension: str) -> str:
    if extension.startswith(("EXT_texture", "MSFT_texture", "KHR_texture")) and extension not in REMEDIES:
        return "export the model with PNG or JPEG textures"
    return REMEDIES.get(extension, "export the model without it, or convert it to plain glTF 2.0")


def _is_source(document: dict[str, Any], image: dict[str, Any]) -> bool:
    index = next(i for i, other in enumerate(document["images"]) if other is image)
    return any(texture.get("source") == index for texture in document.get("textures", []))


def importable(document: dict[str, Any], folder: Path, root: Path) -> dict[str, Any]:
    """A copy of the document to be imported instead; equal to the given one if nothing needs a change.

    Animations are removed, because the importer would apply the pose of their first frame. The first scene becomes the
    default where there is none. Invisible nodes lose their meshes. Files are named by their full paths. Unlit materials
    become matt ones, because in a room they should be lit.
    """
    result = copy.deepcopy(document)
    result.pop("animations", None)
    if result.get("scenes") and "scene" not in result:
        result["scene"] = 0
    for index, node in enumerate(result.get("nodes", [])):
        if node.get("extensions", {}).get("KHR_node_visibility", {}).get("visible") is False:
            _hide(result, index)
    for material in result.get("materials", []):
        _make_lit(material)
    for key in ("extensionsUsed", "extensionsRequired"):
        if key in result:
            result[key] = [name for name in result[key] if name not in ("KHR_node_visibility", "KHR_materials_unlit")]
    for item in (*result.get("buffers", []), *result.get("images", [])):
        uri = item.get("uri", "data:")
        found = None if uri.startswith("data:") else find_file(unquote(uri), folder, root)
        if found is not None:
            item["uri"] = quote(str(found))
    return result


def _hide(document: dict[str, Any], index: int) -> None:
    waiting, seen = [index], set()
    while waiting:
        current = waiting.pop()
        if current not in seen:
            seen.add(current)
            node = document["nodes"][current]
            for shown in ("mesh", "camera", "skin"):
                node.pop(shown, None)
            node.get("extensions", {}).pop("EXT_mesh_gpu_instancing", None)
            waiting += node.get("children", [])


def _make_lit(material: dict[str, Any]) -> None:
    if material.get("extensions", {}).pop("KHR_materials_unlit", None) is None:
        return
    pbr = material.setdefault("pbrMetallicRoughness", {})
    pbr.pop("metallicRoughnessTexture", None)
    pbr |= {"metallicFactor": 0.0, "roughnessFactor": 1.0}
    for ignored in ("normalTexture", "occlusionTexture", "emissiveTexture", "emissiveFactor"):
        material.pop(ignored, None)
