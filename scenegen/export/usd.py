"""A scene as one USDZ: z up, metres; each asset once with preview materials; objects, floor, walls and cameras."""

import io
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from scenegen.assets.glb import Glb, z_up
from scenegen.contract.records import SceneObject, View
from scenegen.errors import SceneGenError
from scenegen.export.conventions import ROOM_COLOURS, opengl_camera
from scenegen.export.exporter import SceneExporter
from scenegen.export.selection import SceneViews
from scenegen.export.shapes import corner_normals
from scenegen.layout.planes import Plane, room_planes

APERTURE_MM = 36.0
CLIPPING_M = (0.01, 1000.0)
_TEXTURE_FORMATS = {"image/png": "png", "image/jpeg": "jpg"}  # what a USDZ may hold


class UsdExporter(SceneExporter):
    """SCENE.usdz."""

    how_to_read = "pxr.Usd.Stage.Open('{out}/SCENE.usdz')"
    needs = (("pxr", "formats"),)

    def check(self) -> None:
        self.source.require_shapes()

    def scene(self, chosen: SceneViews) -> dict[str, Any]:
        from pxr import Sdf, UsdUtils

        views = [selected.view for selected in self.source.selection.read(chosen, ())]
        name = f"{chosen.scene_index:06d}"
        with tempfile.TemporaryDirectory() as folder:
            layer, package = Path(folder, f"{name}.usdc"), Path(folder, f"{name}.usdz")
            builder = _Builder(layer)
            for placed in self.source.selection.scene_objects(chosen):
                self._add(builder, placed)
            for plane in room_planes(self.source.selection.scene(chosen)):
                builder.plane(plane)
            for view in views:
                builder.camera(view)
            builder.stage.GetRootLayer().Save()
            if not UsdUtils.CreateNewUsdzPackage(Sdf.AssetPath(str(layer)), str(package)):
                raise SceneGenError(f"USD could not pack scene {name}; its own message is above")
            self.folder.write(package.name, package.read_bytes())
        return {"views": len(views)}

    def _add(self, builder: "_Builder", placed: SceneObject) -> None:
        if placed.asset_uid not in builder.assets:
            asset = self.source.shapes.glb_of(placed)
            if asset:
                builder.asset(placed.asset_uid, asset)
            else:
                mesh = self.source.shapes.of(placed)
                builder.shape(placed.asset_uid, mesh.vertices, mesh.faces, corner_normals(mesh))
        builder.object(placed)


class _Builder:
    """One stage in the making. Assets are abstract prims, to which objects refer."""

    def __init__(self, path: Path) -> None:
        from pxr import Usd, UsdGeom

        self.folder = path.parent
        self.assets: dict[str, str] = {}
        self.stage = Usd.Stage.CreateNew(str(path))
        UsdGeom.SetStageUpAxis(self.stage, UsdGeom.Tokens.z)
        UsdGeom.SetStageMetersPerUnit(self.stage, 1.0)
        self.stage.SetDefaultPrim(UsdGeom.Xform.Define(self.stage, "/Scene").GetPrim())

    def asset(self, uid: str, asset: Glb) -> None:
        root = self._asset_root(uid)
        materials = [self._material(f"{root}/Materials", asset, n) for n in range(len(asset.json.get("materials", ())))]
        (mesh,) = asset.json["meshes"]
        for number, primitive in enumerate(mesh["primitives"]):
            attributes = {name: asset.decoded(index) for name, index in primitive["attributes"].items()}
            faces = asset.accessor(primitive["indices"]).reshape(-1, 3)
            drawn = self._mesh(f"{root}/mesh_{number}", z_up(attributes["POSITION"]), faces)
            if "NORMAL" in attributes:
                _set_normals(drawn, z_up(attributes["NORMAL"]))
            if "TEXCOORD_0" in attributes:
                _set_coordinates(drawn, attributes["TEXCOORD_0"])
            if "material" in primitive:
                self._bind(drawn, materials[primitive["material"]])

    def shape(self, uid: str, vertices: np.ndarray, faces: np.ndarray, normals: np.ndarray) -> None:
        _set_normals(self._mesh(f"{self._asset_root(uid)}/mesh_0", vertices, faces), normals)

    def object(self, placed: SceneObject) -> None:
        prim = self._posed(f"obj_{placed.instance_id:03d}_{placed.asset_uid}", placed.T_world_obj).GetPrim()
        prim.GetReferences().AddInternalReference(self.assets[placed.asset_uid])
        _say(prim, instance_id=placed.instance_id, asset_uid=placed.asset_uid, licence=placed.licence)

    def plane(self, plane: Plane) -> None:
        faces = np.array([[0, 1, 2], [0, 2, 3]])
        drawn = self._mesh(f"/Scene/{plane.name}", plane.corners_m, faces)
        _set_normals(drawn, np.tile(plane.normal, (4, 1)))
        material, _ = self._surface(f"/Scene/Materials/{plane.name}", ROOM_COLOURS[plane.instance_id], 0.0, 1.0)
        self._bind(drawn, (material, False))
        _say(drawn.GetPrim(), instance_id=plane.instance_id)

    def camera(self, view: View) -> None:
        from pxr import Gf, UsdGeom

        camera = UsdGeom.Camera.Define(self.stage, f"/Scene/view_{view.view_index:04d}")
        camera.AddTransformOp().Set(_matrix(opengl_camera(view.T_world_cam)))
        width, height = view.size_px
        focal = APERTURE_MM * view.K_px[0, 0] / width
        camera.CreateFocalLengthAttr(focal)
        camera.CreateHorizontalApertureAttr(APERTURE_MM)
        camera.CreateVerticalApertureAttr(focal * height / view.K_px[1, 1])
        camera.CreateClippingRangeAttr(Gf.Vec2f(*CLIPPING_M))
        _say(camera.GetPrim(), view_index=view.view_index, width=width, height=height)

    def _asset_root(self, uid: str) -> str:
        from pxr import Tf

        # Numbered, since two uids may become one identifier.
        root = f"/_asset_{len(self.assets):04d}_{Tf.MakeValidIdentifier(uid)}"
        self.stage.CreateClassPrim(root)
        self.assets[uid] = root
        return root

    def _posed(self, name: str, T: np.ndarray) -> Any:
        from pxr import Tf, UsdGeom

        prim = UsdGeom.Xform.Define(self.stage, f"/Scene/{Tf.MakeValidIdentifier(name)}")
        prim.AddTransformOp().Set(_matrix(T))
        return prim

    def _mesh(self, path: str, vertices: np.ndarray, faces: np.ndarray) -> Any:
        from pxr import UsdGeom, Vt

        mesh = UsdGeom.Mesh.Define(self.stage, path)
        mesh.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(vertices, np.float32)))
        mesh.CreateFaceVertexCountsAttr(Vt.IntArray.FromNumpy(np.full(len(faces), 3, np.int32)))
        mesh.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(faces.ravel().astype(np.int32)))
        mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
        low, high = vertices.min(axis=0), vertices.max(axis=0)
        mesh.CreateExtentAttr([tuple(map(float, low)), tuple(map(float, high))])
        return mesh

    def _material(self, parent: str, asset: Glb, number: int) -> tuple[Any, bool]:
        """A preview surface, and whether it is seen from both sides."""
        from pxr import Gf, Sdf

        source = asset.json["materials"][number]
        surface = source.get("pbrMetallicRoughness", {})
        colour = surface.get("baseColorFactor", [1.0, 1.0, 1.0, 1.0])
        metallic, roughness = float(surface.get("metallicFactor", 1.0)), float(surface.get("roughnessFactor", 1.0))
        material, shader = self._surface(f"{parent}/material_{number}", colour[:3], metallic, roughness)
        blended = source.get("alphaMode", "OPAQUE") != "OPAQUE"
        opacity = shader.CreateInput("opacity", Sdf.ValueTypeNames.Float)
        opacity.Set(float(colour[3]) if blended else 1.0)
        if "baseColorTexture" in surface:
            texture = self._texture(str(material.GetPath()), asset, surface["baseColorTexture"]["index"])
            texture.CreateInput("scale", Sdf.ValueTypeNames.Float4).Set(Gf.Vec4f(*colour))
            shader.GetInput("diffuseColor").ConnectToSource(texture.ConnectableAPI(), "rgb")
            if blended:
                opacity.ConnectToSource(texture.ConnectableAPI(), "a")
        refraction = source.get("extensions", {}).get("KHR_materials_ior", {}).get("ior")
        if refraction is not None:
            shader.CreateInput("ior", Sdf.ValueTypeNames.Float).Set(float(refraction))
        if source.get("alphaMode") == "MASK":
            threshold = float(source.get("alphaCutoff", 0.5))
            shader.CreateInput("opacityThreshold", Sdf.ValueTypeNames.Float).Set(threshold)
        return material, bool(source.get("doubleSided", False))

    def _surface(self, path: str, colour: Sequence[float], metallic: float, roughness: float) -> tuple[Any, Any]:
        """A material of one colour, and its shader."""
        from pxr import Gf, Sdf, UsdShade

        material = UsdShade.Material.Define(self.stage, path)
        shader = UsdShade.Shader.Define(self.stage, f"{path}/surface")
        shader.CreateIdAttr("UsdPreviewSurface")
        shader.CreateInput("diffuseColor", Sdf.ValueTypeNames.Color3f).Set(Gf.Vec3f(*colour))
        shader.CreateInput("metallic", Sdf.ValueTypeNames.Float).Set(metallic)
        shader.CreateInput("roughness", Sdf.ValueTypeNames.Float).Set(roughness)
        material.CreateSurfaceOutput().ConnectToSource(shader.ConnectableAPI(), "surface")
        return material, shader

    def _texture(self, material: str, asset: Glb, number: int) -> Any:
        from pxr import Sdf, UsdShade

        reader = UsdShade.Shader.Define(self.stage, f"{material}/coordinates")
        reader.CreateIdAttr("UsdPrimvarReader_float2")
        reader.CreateInput("varname", Sdf.ValueTypeNames.String).Set("st")
        texture = UsdShade.Shader.Define(self.stage, f"{material}/texture")
        texture.CreateIdAttr("UsdUVTexture")
        file = self._image(material, asset, asset.json["textures"][number]["source"])
        texture.CreateInput("file", Sdf.ValueTypeNames.Asset).Set(file)
        texture.CreateInput("sourceColorSpace", Sdf.ValueTypeNames.Token).Set("sRGB")
        coordinates = texture.CreateInput("st", Sdf.ValueTypeNames.Float2)
        coordinates.ConnectToSource(reader.ConnectableAPI(), "result")
        for axis in ("wrapS", "wrapT"):
            texture.CreateInput(axis, Sdf.ValueTypeNames.Token).Set("repeat")
        texture.CreateOutput("rgb", Sdf.ValueTypeNames.Float3)
        texture.CreateOutput("a", Sdf.ValueTypeNames.Float)
        return texture

    def _image(self, material: str, asset: Glb, number: int) -> str:
        """The image as a file beside the layer; its name."""
        image = asset.json["images"][number]
        data, ending = asset.view_bytes(image["bufferView"]), _TEXTURE_FORMATS.get(image.get("mimeType", ""))
        if ending is None:
            file = io.BytesIO()
            Image.open(io.BytesIO(data)).save(file, "png")
            data, ending = file.getvalue(), "png"
        name = f"{material.split('/')[1].removeprefix('_asset_')}_{number}.{ending}"
        (self.folder / name).write_bytes(data)
        return f"./{name}"

    def _bind(self, mesh: Any, material: tuple[Any, bool]) -> None:
        from pxr import UsdShade

        surface, both_sides = material
        UsdShade.MaterialBindingAPI.Apply(mesh.GetPrim()).Bind(surface)
        mesh.CreateDoubleSidedAttr(both_sides)


def _set_normals(mesh: Any, normals: np.ndarray) -> None:
    from pxr import UsdGeom, Vt

    mesh.CreateNormalsAttr(Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(normals, np.float32)))
    mesh.SetNormalsInterpolation(UsdGeom.Tokens.vertex)


def _set_coordinates(mesh: Any, uv: np.ndarray) -> None:
    """glTF counts v from the top of the image, USD from its bottom."""
    from pxr import Sdf, UsdGeom, Vt

    flipped = np.stack([uv[:, 0], 1.0 - uv[:, 1]], axis=1).astype(np.float32)
    primvar = UsdGeom.PrimvarsAPI(mesh).CreatePrimvar("st", Sdf.ValueTypeNames.TexCoord2fArray, UsdGeom.Tokens.vertex)
    primvar.Set(Vt.Vec2fArray.FromNumpy(flipped))


def _say(prim: Any, **facts: Any) -> None:
    """Facts as attributes of our own, which other programs pass over."""
    from pxr import Sdf

    for name, value in facts.items():
        kind = Sdf.ValueTypeNames.String if isinstance(value, str) else Sdf.ValueTypeNames.Int
        prim.CreateAttribute(f"scenegen:{name}", kind, custom=True).Set(value)


def _matrix(T: np.ndarray) -> Any:
    """USD multiplies row vectors from the left."""
    from pxr import Gf

    return Gf.Matrix4d(*T.T.ravel().tolist())
