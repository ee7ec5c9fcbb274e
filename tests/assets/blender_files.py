"""Model files that only Blender can write. Runs in a child process."""

from pathlib import Path

import bpy
import numpy as np

from tests.assets.models import L_FACES, L_VERTICES


def write_all(folder: Path) -> None:
    """The same two-object scene in every format, expected.npy, and a rich .blend with rich.npy."""
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    world = _two_objects()
    np.save(folder / "expected.npy", _canonical(world))
    path = {suffix: str(folder / f"a.{suffix}") for suffix in FORMATS}
    for suffix, write in FORMATS.items():
        write(path[suffix])
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    np.save(folder / "rich.npy", _canonical(_rich_scene(folder)))
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "rich.blend"))


def write_fbx(folder: Path, scales: list[float], offset: float) -> dict[float, Path]:
    """The L as FBX at each scale, and at scale 1 with its vertices `offset` away, under the key 0."""
    paths = {}
    for scale in [*scales, 0.0]:
        bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
        mesh = _l_shape()
        mesh.vertices.foreach_set("co", (L_VERTICES * scale if scale else L_VERTICES + offset + 0.123).ravel())
        _link("l", mesh)
        (folder / f"{scale:g}").mkdir()
        paths[scale] = folder / f"{scale:g}" / "a.fbx"
        bpy.ops.export_scene.fbx(filepath=str(paths[scale]))
    return paths


FORMATS = {
    "glb": lambda path: bpy.ops.export_scene.gltf(filepath=path, export_format="GLB"),
    "gltf": lambda path: bpy.ops.export_scene.gltf(filepath=path, export_format="GLTF_SEPARATE"),
    "obj": lambda path: bpy.ops.wm.obj_export(filepath=path),
    "ply": lambda path: bpy.ops.wm.ply_export(filepath=path),
    "stl": lambda path: bpy.ops.wm.stl_export(filepath=path),
    "fbx": lambda path: bpy.ops.export_scene.fbx(filepath=path),
    "usdc": lambda path: bpy.ops.wm.usd_export(filepath=path),
    "usda": lambda path: bpy.ops.wm.usd_export(filepath=path),
    "usdz": lambda path: bpy.ops.wm.usd_export(filepath=path),
    "dae": lambda path: bpy.ops.wm.collada_export(filepath=path),
    "blend": lambda path: bpy.ops.wm.save_as_mainfile(filepath=path, copy=True),
}


def _l_shape() -> "bpy.types.Mesh":
    mesh = bpy.data.meshes.new("l")
    mesh.from_pydata(L_VERTICES.tolist(), [], L_FACES.tolist())
    material = bpy.data.materials.new("red")
    material.use_nodes = True
    mesh.materials.append(material)
    return mesh


def _link(name: str, mesh: "bpy.types.Mesh | None") -> "bpy.types.Object":
    obj = bpy.data.objects.new(name, mesh)
    bpy.context.scene.collection.objects.link(obj)
    return obj


def _two_objects() -> np.ndarray:
    mesh = _l_shape()
    first, second = _link("first", mesh), _link("second", mesh)
    first.location, second.location = (1, 2, 3), (4, 2, 3)
    second.parent = first
    second.scale = (0.5, 0.5, 0.5)
    lamp = bpy.data.objects.new("lamp", bpy.data.lights.new("lamp", "POINT"))
    bpy.context.scene.collection.objects.link(lamp)
    lamp.location = (100, 0, 0)
    bpy.context.view_layer.update()
    return np.concatenate([_world(obj) for obj in (first, second)])


def _rich_scene(folder: Path) -> np.ndarray:
    """A collection instanced twice (once mirrored), an array modifier, a hidden object, a script and a driver."""
    mesh = _l_shape()
    collection = bpy.data.collections.new("group")
    member = bpy.data.objects.new("member", mesh)
    member.location = (0, 0, 1)
    collection.objects.link(member)
    points = []
    for index, scale in enumerate([(1, 1, 1), (-2, 1, 1)]):
        empty = _link(f"instance{index}", None)
        empty.instance_type, empty.instance_collection = "COLLECTION", collection
        empty.location, empty.scale = (5 * index, 0, 0), scale
        points.append((np.add(L_VERTICES, (0, 0, 1))) * scale + (5 * index, 0, 0))
    repeated = _link("repeated", mesh)
    repeated.location = (0, 10, 0)
    modifier = repeated.modifiers.new("array", "ARRAY")
    modifier.count, modifier.use_relative_offset, modifier.use_constant_offset = 2, False, True
    modifier.constant_offset_displace = (0, 3, 0)
    points += [np.add(L_VERTICES, (0, 10, 0)), np.add(L_VERTICES, (0, 13, 0))]
    hidden = _link("hidden", mesh)
    hidden.location, hidden.hide_render = (500, 0, 0), True
    script = bpy.data.texts.new("evil.py")
    script.write(f"open({str(folder / 'script-ran')!r}, 'w')")
    script.use_module = True
    driver = repeated.driver_add("location", 0).driver
    driver.expression = f"open({str(folder / 'driver-ran')!r}, 'w') and 0"
    return np.concatenate(points)


def _world(obj: "bpy.types.Object") -> np.ndarray:
    M = np.array(obj.matrix_world)
    return L_VERTICES @ M[:3, :3].T + M[:3, 3]


def _canonical(points: np.ndarray) -> np.ndarray:
    low, high = points.min(axis=0), points.max(axis=0)
    return (points - (low + high) / 2) / (high - low).max()
