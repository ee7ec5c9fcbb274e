"""Files of formats that only Blender writes: Draco, FBX, USDZ, .blend. `write_all` runs in a child process."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.real_files.model_case import (
    LINEAR_RED,
    PALETTE,
    RED,
    TETRA,
    TETRA_FACES,
    Expected,
    ModelCase,
    moved,
    palette_image,
    separate_faces,
    tetra,
)

WIDE = moved(TETRA, scale=(1, 2, 1))


def write_all(folder: Path) -> None:
    """Every case of `CASES` into a folder of its own name below `folder`."""
    import bpy

    for name, write in WRITERS.items():
        bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
        (folder / name).mkdir()
        write(folder / name)


def _object(name: str, points: np.ndarray, material: object) -> object:
    import bpy

    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(np.asarray(points).tolist(), [], TETRA_FACES.tolist())
    mesh.materials.append(material)
    return _link(bpy.data.objects.new(name, mesh))


def _link(obj: object) -> object:
    import bpy

    bpy.context.scene.collection.objects.link(obj)
    return obj


def _red() -> object:
    import bpy

    material = bpy.data.materials.new("red")
    material.use_nodes = True
    material.node_tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = (*LINEAR_RED, 1)
    return material


def _picture(folder: Path) -> object:
    """An object with the picture of four fields on it, which lies beside the file."""
    import bpy

    palette_image().save(folder / "skin.png")
    points, faces, uv = separate_faces()
    mesh = bpy.data.meshes.new("skin")
    mesh.from_pydata(points.tolist(), [], faces.tolist())
    mesh.uv_layers.new(name="lightmap")
    layer = mesh.uv_layers.new(name="colours")
    layer.uv.foreach_set("vector", uv.reshape(-1))
    layer.active_render = True
    material = bpy.data.materials.new("skin")
    material.use_nodes = True
    tree = material.node_tree
    node = tree.nodes.new("ShaderNodeTexImage")
    node.image = bpy.data.images.load(str(folder / "skin.png"))
    tree.links.new(node.outputs["Color"], tree.nodes["Principled BSDF"].inputs["Base Color"])
    mesh.materials.append(material)
    return _link(bpy.data.objects.new("skin", mesh))


def _draco(folder: Path) -> None:
    import bpy

    _object("red", TETRA, _red())
    options = {"export_draco_mesh_compression_enable": True, "export_draco_position_quantization": 14}
    bpy.ops.export_scene.gltf(filepath=str(folder / "draco.glb"), export_format="GLB", **options)


def _fbx_in_centimetres(folder: Path) -> None:
    import bpy

    bpy.context.scene.unit_settings.scale_length = 0.01
    _object("red", moved(TETRA, scale=100), _red())
    bpy.ops.export_scene.fbx(filepath=str(folder / "fbx_in_centimetres.fbx"))


def _fbx_lost_texture_path(folder: Path) -> None:
    """The path of the author's disk in the file, the picture in a folder beside it."""
    import bpy

    obj = _picture(folder)
    (folder / "textures").mkdir()
    (folder / "skin.png").rename(folder / "textures" / "Skin.png")
    bpy.data.images["skin.png"].filepath = "/home/author/work/skin.png"
    obj.data.uv_layers.remove(obj.data.uv_layers["lightmap"])
    bpy.ops.export_scene.fbx(filepath=str(folder / "fbx_lost_texture_path.fbx"), path_mode="ABSOLUTE")


def _fbx_embedded_texture(folder: Path) -> None:
    import bpy

    obj = _picture(folder)
    obj.data.uv_layers.remove(obj.data.uv_layers["lightmap"])
    path = str(folder / "fbx_embedded_texture.fbx")
    bpy.ops.export_scene.fbx(filepath=path, path_mode="COPY", embed_textures=True)
    (folder / "skin.png").unlink()


def _usdz(folder: Path) -> None:
    import bpy

    obj = _picture(folder)
    obj.data.uv_layers.remove(obj.data.uv_layers["lightmap"])
    bpy.ops.wm.usd_export(filepath=str(folder / "usdz.usdz"))
    (folder / "skin.png").unlink()


def _other_case(folder: Path, written: str) -> None:
    """The picture under the name that another system would take for it."""
    (folder / "Pictures").mkdir()
    (folder / written).rename(folder / "Pictures" / "Skin.PNG")


def _collada_lost_texture_path(folder: Path) -> None:
    import bpy

    obj = _picture(folder)
    obj.data.uv_layers.remove(obj.data.uv_layers["lightmap"])
    path = folder / "collada_lost_texture_path.dae"
    bpy.ops.wm.collada_export(filepath=str(path), use_texture_copies=False)
    path.write_text(path.read_text().replace(str(folder / "skin.png"), "pictures\\skin.png"))
    _other_case(folder, "skin.png")


def _usd_wrong_case_texture(folder: Path) -> None:
    import bpy

    obj = _picture(folder)
    obj.data.uv_layers.remove(obj.data.uv_layers["lightmap"])
    path = folder / "usd_wrong_case_texture.usda"
    bpy.ops.wm.usd_export(filepath=str(path), export_textures_mode="KEEP")
    path.write_text(path.read_text().replace("@skin.png@", "@./pictures/skin.png@"))
    _other_case(folder, "skin.png")


def _blend_lost_texture_path(folder: Path) -> None:
    import bpy

    _picture(folder)
    bpy.data.images["skin.png"].filepath = "C:\\work\\pictures\\skin.png"
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "blend_lost_texture_path.blend"), relative_remap=False)
    _other_case(folder, "skin.png")


def _hidden_objects(folder: Path) -> None:
    """Hidden from the render: an object, and a collection with its object."""
    import bpy

    material = _red()
    _object("seen", TETRA, material)
    _object("hidden", moved(TETRA, scale=5), material).hide_render = True
    collection = bpy.data.collections.new("hidden too")
    bpy.context.scene.collection.children.link(collection)
    collection.hide_render = True
    other = _object("inside", moved(TETRA, scale=6), material)
    bpy.context.scene.collection.objects.unlink(other)
    collection.objects.link(other)
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "hidden_objects.blend"))


def _blend_two_scenes(folder: Path) -> None:
    """The scene that was open when the file was saved."""
    import bpy

    _object("first", moved(TETRA, scale=7), _red())
    bpy.context.window.scene = bpy.data.scenes.new("second")
    _object("second", WIDE, bpy.data.materials["red"])
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "blend_two_scenes.blend"))


def _blend_named_uv_map(folder: Path) -> None:
    """The picture lies on the second UV map, by being the one that is rendered."""
    import bpy

    _picture(folder)
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "blend_named_uv_map.blend"), relative_remap=True)


WRITERS: dict[str, Callable[[Path], None]] = {
    "draco": _draco,
    "fbx_in_centimetres": _fbx_in_centimetres,
    "fbx_lost_texture_path": _fbx_lost_texture_path,
    "fbx_embedded_texture": _fbx_embedded_texture,
    "usdz": _usdz,
    "collada_lost_texture_path": _collada_lost_texture_path,
    "usd_wrong_case_texture": _usd_wrong_case_texture,
    "blend_lost_texture_path": _blend_lost_texture_path,
    "hidden_objects": _hidden_objects,
    "blend_two_scenes": _blend_two_scenes,
    "blend_named_uv_map": _blend_named_uv_map,
}


def _case(name: str, report: str, right: Expected) -> ModelCase:
    return ModelCase(name, report, lambda folder: right)


CASES = (
    _case("draco", "KhronosGroup/glTF-Blender-IO 252", tetra(RED)),
    _case("fbx_in_centimetres", "DarklightGames/io_scene_psk_psa 51", tetra(RED)),
    _case("fbx_lost_texture_path", "adobe/USD-Fileformat-plugins 48", tetra(*PALETTE)),
    _case("fbx_embedded_texture", "soupday/cc_blender_tools 54", tetra(*PALETTE)),
    _case("usdz", "AR models", tetra(*PALETTE)),
    _case("collada_lost_texture_path", "assimp/assimp 4065", tetra(*PALETTE)),
    _case("usd_wrong_case_texture", "BMCDad/orbiter-blender 33", tetra(*PALETTE)),
    _case("blend_lost_texture_path", "3D-FRONT-FUTURE/3D-FRONT-ToolBox 25", tetra(*PALETTE)),
    _case("hidden_objects", "Objaverse .blend files", tetra(RED)),
    _case("blend_two_scenes", "Objaverse .blend files", Expected(WIDE, 4)),
    _case("blend_named_uv_map", "KhronosGroup/glTF-Blender-IO 1975", tetra(*PALETTE)),
)
