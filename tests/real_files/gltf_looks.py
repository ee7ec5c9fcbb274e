"""glTF files whose colours are easily mistaken."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from scenegen.assets.glb import y_up
from tests.assets.models import Model
from tests.real_files.gltf_parts import (
    GREEN,
    LINEAR_GREEN,
    SCANNED,
    add_image,
    basis_model,
    encoded,
    mesh_with_uv,
    palette_case,
    plain_material,
    require,
    tetra_mesh,
    textured,
)
from tests.real_files.model_case import (
    LINEAR_RED,
    PALETTE,
    RED,
    TETRA,
    Expected,
    ModelCase,
    moved,
    palette_image,
    places,
    separate_faces,
    tetra,
)


def vertex_colours(folder: Path) -> Expected:
    model = Model()
    points, faces, _ = separate_faces()
    mesh = model.mesh(y_up(points), faces)
    linear = np.array([LINEAR_RED, LINEAR_GREEN, LINEAR_RED, LINEAR_GREEN], np.float32).repeat(3, axis=0)
    model.document["meshes"][mesh]["primitives"][0]["attributes"]["COLOR_0"] = model.accessor(linear)
    model.node(mesh=mesh)
    model.glb(folder / "vertex_colours.glb")
    return tetra(RED, GREEN, RED, GREEN)


def vertex_colours_and_factor(folder: Path) -> Expected:
    """Both count: the colour of the vertex times the factor of the material."""
    model = Model()
    points, faces, _ = separate_faces()
    mesh = model.mesh(y_up(points), faces, material=plain_material(model, (0.5, 0.5, 1.0)))
    linear = np.full((12, 4), (0.8, 0.2, 0.1, 1.0), np.float32)
    model.document["meshes"][mesh]["primitives"][0]["attributes"]["COLOR_0"] = model.accessor(linear)
    model.node(mesh=mesh)
    model.glb(folder / "vertex_colours_and_factor.glb")
    return tetra((170, 89, 89))


def texture_transform(folder: Path) -> Expected:
    """The picture is used at half size from its middle column on: every face sees the field to the right of its own."""
    model = Model()
    info = {"extensions": {"KHR_texture_transform": {"offset": [0.5, 0.0], "rotation": 0.0, "scale": [1.0, 1.0]}}}
    require(model, "KHR_texture_transform")
    image = add_image(model, encoded(palette_image()), "image/png")
    model.node(mesh=mesh_with_uv(model, textured(model, {"source": image}, info)))
    model.glb(folder / "texture_transform.glb")
    return tetra(PALETTE[1], PALETTE[0], PALETTE[3], PALETTE[2])


def cut_out_leaves(folder: Path) -> Expected:
    """Alpha 0 in the right half of the picture, MASK: those faces are holes."""
    model = Model()
    pixels = np.dstack([np.asarray(palette_image()), np.full((16, 16), 255, np.uint8)])
    pixels[:, 8:, 3] = 0
    image = add_image(model, encoded(Image.fromarray(pixels)), "image/png")
    material = textured(model, {"source": image}, alphaMode="MASK", alphaCutoff=0.5, doubleSided=True)
    model.node(mesh=mesh_with_uv(model, material))
    model.glb(folder / "cut_out_leaves.glb")
    return replace(tetra(*PALETTE), alpha=tuple(zip(places(), (1.0, 0.0, 1.0, 0.0), strict=True)))


def see_through(folder: Path) -> Expected:
    model = Model()
    material = plain_material(model, (*LINEAR_RED, 0.5), alphaMode="BLEND")
    model.node(mesh=tetra_mesh(model, material=material))
    model.glb(folder / "see_through.glb")
    return replace(tetra(RED), alpha=((places()[0], 0.5),))


def specular_glossiness(folder: Path) -> Expected:
    model = Model()
    extension = {"KHR_materials_pbrSpecularGlossiness": {"diffuseFactor": [*LINEAR_RED, 1.0], "glossinessFactor": 0.2}}
    model.document["materials"] = [{"extensions": extension}]
    require(model, "KHR_materials_pbrSpecularGlossiness")
    model.node(mesh=tetra_mesh(model, material=0))
    model.glb(folder / "specular_glossiness.glb")
    return tetra(RED)


def specular_glossiness_texture(folder: Path) -> Expected:
    model = Model()
    image = add_image(model, encoded(palette_image()), "image/png")
    model.document["textures"] = [{"source": image}]
    extension = {"diffuseTexture": {"index": 0}, "glossinessFactor": 0.1, "specularFactor": [0.04, 0.04, 0.04]}
    model.document["materials"] = [{"extensions": {"KHR_materials_pbrSpecularGlossiness": extension}}]
    require(model, "KHR_materials_pbrSpecularGlossiness")
    model.node(mesh=mesh_with_uv(model, 0))
    model.glb(folder / "specular_glossiness_texture.glb")
    return tetra(*PALETTE)


def unlit(folder: Path) -> Expected:
    """Scans are often unlit. In a room they must take the room's light, not shine."""
    model = Model()
    require(model, "KHR_materials_unlit")
    image = add_image(model, encoded(palette_image()), "image/png")
    material = textured(model, {"source": image}, extensions={"KHR_materials_unlit": {}})
    model.node(mesh=mesh_with_uv(model, material))
    model.glb(folder / "unlit.glb")
    return tetra(*PALETTE)


def second_uv_set(folder: Path) -> Expected:
    """The base colour is looked up in TEXCOORD_1; TEXCOORD_0 is a lightmap's."""
    model = Model()
    image = add_image(model, encoded(palette_image()), "image/png")
    material = textured(model, {"source": image}, {"texCoord": 1})
    uv = separate_faces()[2] * (1, -1) + (0, 1)
    wrong = np.full((12, 2), 0.25, np.float32)
    more = {"TEXCOORD_1": model.accessor(uv.astype(np.float32))}
    model.node(mesh=mesh_with_uv(model, material, wrong, more))
    model.glb(folder / "second_uv_set.glb")
    return tetra(*PALETTE)


def two_materials_two_uv_sets(folder: Path) -> Expected:
    """One object looks up its picture in the first set, the other one in its second."""
    model = Model()
    image = add_image(model, encoded(palette_image()), "image/png")
    first, second = textured(model, {"source": image}), textured(model, {"source": image}, {"texCoord": 1})
    uv = (separate_faces()[2] * (1, -1) + (0, 1)).astype(np.float32)
    model.node(mesh=mesh_with_uv(model, first))
    wrong = np.full((12, 2), 0.25, np.float32)
    model.node(mesh=mesh_with_uv(model, second, wrong, {"TEXCOORD_1": model.accessor(uv)}), translation=[3, 0, 0])
    model.glb(folder / "two_materials_two_uv_sets.glb")
    other = moved(TETRA, by=(3, 0, 0))
    seen = [*zip(places(), PALETTE, strict=True), *zip(places(other), PALETTE, strict=True)]
    return Expected(np.concatenate([TETRA, other]), 8, tuple(seen))


def webp_texture(folder: Path) -> Expected:
    model = Model()
    require(model, "EXT_texture_webp")
    image = add_image(model, encoded(palette_image(), "WEBP", lossless=True), "image/webp")
    model.node(mesh=mesh_with_uv(model, textured(model, {"extensions": {"EXT_texture_webp": {"source": image}}})))
    model.glb(folder / "webp_texture.glb")
    return tetra(*PALETTE)


def cmyk_texture(folder: Path) -> Expected:
    data = encoded(palette_image(64).convert("CMYK"), "JPEG", quality=95)
    return palette_case(folder, "cmyk_texture.glb", data, "image/jpeg")


def palette_texture(folder: Path) -> Expected:
    return palette_case(folder, "palette_texture.glb", encoded(palette_image().quantize(4)), "image/png")


def sixteen_bit_texture(folder: Path) -> Expected:
    """A grey picture of 16 bits a pixel, as height maps and scanners write it."""
    grey = np.array([[60000, 30000], [45000, 10000]], np.uint16).repeat(8, axis=0).repeat(8, axis=1)
    palette_case(folder, "sixteen_bit_texture.glb", encoded(Image.fromarray(grey)), "image/png")
    return tetra(*((v, v, v) for v in (233, 117, 175, 39)))


def wide_texture(folder: Path) -> Expected:
    """Wider than what is kept (1024): scaled down, not cut."""
    image = palette_image(2).resize((2500, 80), Image.Resampling.NEAREST)
    return palette_case(folder, "wide_texture.glb", encoded(image), "image/png")


def basis_texture_with_fallback(folder: Path) -> Expected:
    model = basis_model(required=False)
    model.document["textures"][0]["source"] = add_image(model, encoded(palette_image()), "image/png")
    model.glb(folder / "basis_texture_with_fallback.glb")
    return tetra(*PALETTE)


def separate_textures(folder: Path) -> Expected:
    """Buffer and picture beside the file, with a blank and a letter outside ASCII in their names."""
    model = Model()
    palette_image().save(folder / "Bild rötlich.png")
    model.document["images"] = [{"uri": "Bild%20r%C3%B6tlich.png"}]
    model.node(mesh=mesh_with_uv(model, textured(model, {"source": 0})))
    model.gltf(folder / "separate_textures.gltf", "Daten 1.bin")
    path = folder / "separate_textures.gltf"
    path.write_text(path.read_text().replace("Daten 1.bin", "Daten%201.bin"))
    return tetra(*PALETTE)


def gltf_variants(folder: Path) -> Expected:
    """Two files of equal bytes in two folders, each with a picture of its own. This one is the first."""
    for name, colour in (("gltf_variants", PALETTE[0]), ("gltf_variant_1", PALETTE[1])):
        (folder / name).mkdir()
        palette_image(colours=(colour,) * 4).save(folder / name / "skin.png")
        model = Model()
        model.document["images"] = [{"uri": "skin.png"}]
        model.node(mesh=mesh_with_uv(model, textured(model, {"source": 0})))
        model.gltf(folder / name / f"{name}.gltf", "data.bin")
    return tetra(PALETTE[0])


def backslash_uri(folder: Path) -> Expected:
    model = Model()
    (folder / "textures").mkdir()
    palette_image().save(folder / "textures" / "skin.png")
    model.document["images"] = [{"uri": "..%5Cbackslash_uri/textures\\skin.png"}]
    model.node(mesh=mesh_with_uv(model, textured(model, {"source": 0})))
    model.gltf(folder / "backslash_uri.gltf")
    return tetra(*PALETTE)


def wrong_case_uri(folder: Path) -> Expected:
    """Written on a system that takes Skin.PNG for skin.png; the buffer's name too."""
    model = Model()
    (folder / "Textures").mkdir()
    palette_image().save(folder / "Textures" / "skin.png")
    model.document["images"] = [{"uri": "textures/Skin.PNG"}]
    model.node(mesh=mesh_with_uv(model, textured(model, {"source": 0})))
    model.gltf(folder / "wrong_case_uri.gltf", "Data.bin")
    (folder / "Data.bin").rename(folder / "data.BIN")
    return tetra(*PALETTE)


CASES = (
    ModelCase("vertex_colours", SCANNED, vertex_colours),
    ModelCase("texture_transform", SCANNED, texture_transform),
    ModelCase("cut_out_leaves", SCANNED, cut_out_leaves),
    ModelCase("separate_textures", "KhronosGroup/glTF-Blender-IO 616", separate_textures),
    ModelCase("vertex_colours_and_factor", "KhronosGroup/glTF-Blender-IO 70, 249", vertex_colours_and_factor),
    ModelCase("gltf_variants", "ABO, texture variants of one shape", gltf_variants),
    ModelCase("backslash_uri", "BabylonJS/Exporters 685, assimp/assimp 4065", backslash_uri),
    ModelCase("wrong_case_uri", "BMCDad/orbiter-blender 33", wrong_case_uri),
    ModelCase("specular_glossiness", "KhronosGroup/glTF-Blender-IO 70", specular_glossiness),
    ModelCase("specular_glossiness_texture", SCANNED, specular_glossiness_texture),
    ModelCase("unlit", SCANNED, unlit),
    ModelCase("second_uv_set", "KhronosGroup/glTF-Blender-IO 432", second_uv_set),
    ModelCase("two_materials_two_uv_sets", "KhronosGroup/glTF-Blender-IO 1975", two_materials_two_uv_sets),
    ModelCase("webp_texture", "EXT_texture_webp", webp_texture),
    ModelCase("cmyk_texture", SCANNED, cmyk_texture),
    ModelCase("palette_texture", SCANNED, palette_texture),
    ModelCase("sixteen_bit_texture", SCANNED, sixteen_bit_texture),
    ModelCase("wide_texture", "Objaverse, huge textures", wide_texture),
    ModelCase("basis_texture_with_fallback", "KHR_texture_basisu", basis_texture_with_fallback),
    ModelCase("see_through", SCANNED, see_through),
)
