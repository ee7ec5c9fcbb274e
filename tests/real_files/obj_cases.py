"""OBJ files and their material libraries: hand-written formats with as many dialects as programs."""

from dataclasses import replace
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
    places,
    separate_faces,
    tetra,
)

KD_RED = "Kd " + " ".join(map(str, LINEAR_RED))


def _vertices(points: np.ndarray) -> list[str]:
    """OBJ has y up: Blender turns (x, y, z) into (x, -z, y)."""
    return [f"v {x!r} {z!r} {-y!r}" for x, y, z in np.asarray(points, np.float64).tolist()]


def _plain(points: np.ndarray = TETRA, mtl: str = "model.mtl", material: str = "red") -> list[str]:
    """The lines of a tetrahedron of one material."""
    faces = [f"f {a + 1} {b + 1} {c + 1}" for a, b, c in TETRA_FACES.tolist()]
    return [f"mtllib {mtl}", *_vertices(points), f"usemtl {material}", *faces]


def _textured(mtl: str = "model.mtl", scale: float = 1.0) -> list[str]:
    points, faces, uv = separate_faces()
    lines = [f"mtllib {mtl}", *_vertices(points), *(f"vt {u * scale} {v * scale}" for u, v in uv.tolist())]
    return [
        *lines,
        "usemtl skin",
        *(f"f {a + 1}/{a + 1} {b + 1}/{b + 1} {c + 1}/{c + 1}" for a, b, c in faces.tolist()),
    ]


def _write(path: Path, lines: list[str], end: str = "\n", named: bool = True) -> None:
    """named: a comment makes the file differ from all the others of this module."""
    path.write_bytes((end.join([*lines, *[f"# {path.stem}"] * named]) + end).encode())


def _red(folder: Path, name: str, mtl: str = f"newmtl red\n{KD_RED}\n", **tetra_options: object) -> None:
    (folder / "model.mtl").write_text(mtl)
    _write(folder / f"{name}.obj", _plain(**tetra_options))


def _palette(folder: Path, name: str, statement: str, image: str) -> Expected:
    """A texture under a name, and what the library says of it."""
    (folder / image).parent.mkdir(exist_ok=True)
    palette_image().save(folder / image)
    (folder / "model.mtl").write_text(f"newmtl skin\nKd 1 1 1\n{statement}\n")
    _write(folder / f"{name}.obj", _textured())
    return tetra(*PALETTE)


def negative_indices(folder: Path) -> Expected:
    """Vertices counted from the end, in two blocks of vertices and faces."""
    faces = [f"f {a - 4} {b - 4} {c - 4}" for a, b, c in TETRA_FACES.tolist()]
    other = moved(TETRA, by=(3, 0, 0))
    (folder / "model.mtl").write_text(f"newmtl red\n{KD_RED}\n")
    lines = ["mtllib model.mtl", "usemtl red", *_vertices(TETRA), *faces, *_vertices(other), *faces]
    _write(folder / "negative_indices.obj", lines)
    return Expected(np.concatenate([TETRA, other]), 8, ((places()[0], RED), (places(other)[3], RED)))


def concave_polygon(folder: Path) -> Expected:
    """An L with six corners as one face, and its sides as quads: the notch stays open."""
    outline = np.array([[0, 0], [2, 0], [2, 0.5], [0.5, 0.5], [0.5, 1.5], [0, 1.5]])
    low, high = (np.column_stack([outline, np.full(6, z)]) for z in (0.0, 0.4))
    sides = [f"f {i + 1} {(i + 1) % 6 + 1} {(i + 1) % 6 + 7} {i + 7}" for i in range(6)]
    top, bottom = "f 7 8 9 10 11 12", "f 6 5 4 3 2 1"
    (folder / "model.mtl").write_text(f"newmtl red\n{KD_RED}\n")
    points = np.concatenate([low, high])
    _write(folder / "concave_polygon.obj", ["mtllib model.mtl", "usemtl red", *_vertices(points), top, bottom, *sides])
    return Expected(points, 20, (((0.2, 1.0, 0.4), RED), ((1.5, 0.2, 0.4), RED)))


def windows_text(folder: Path) -> Expected:
    """A byte order mark, CRLF, tabs, and blanks before the keyword."""
    (folder / "model.mtl").write_bytes(f"\ufeffnewmtl red\r\n\t{KD_RED}\r\n".encode())
    lines = [line.replace("f ", "  f\t", 1) if line.startswith("f ") else line for line in _plain()]
    lines[0] = "\ufeff" + lines[0]
    _write(folder / "windows_text.obj", lines, "\r\n")
    return tetra(RED)


def upper_case_extension(folder: Path) -> Expected:
    (folder / "MODEL.MTL").write_text(f"newmtl red\n{KD_RED}\n")
    _write(folder / "upper_case_extension.OBJ", _plain(mtl="model.mtl"))
    return tetra(RED)


def continued_line(folder: Path) -> Expected:
    lines = [line.replace(" ", " \\\n ", 2).replace(" \\\n ", " ", 1) if line[0] == "f" else line for line in _plain()]
    (folder / "model.mtl").write_text(f"newmtl red\n{KD_RED}\n")
    _write(folder / "continued_line.obj", lines)
    return tetra(RED)


def library_with_blanks(folder: Path) -> Expected:
    (folder / "my model.mtl").write_text(f"newmtl deep red\n{KD_RED}\n")
    _write(folder / "library_with_blanks.obj", _plain(mtl="my model.mtl", material="deep red"))
    return tetra(RED)


def two_libraries(folder: Path) -> Expected:
    """One statement may name several."""
    (folder / "first.mtl").write_text("newmtl grey\nKd 0.2 0.2 0.2\n")
    (folder / "second.mtl").write_text(f"newmtl red\n{KD_RED}\n")
    _write(folder / "two_libraries.obj", _plain(mtl="first.mtl second.mtl"))
    return tetra(RED)


def map_options(folder: Path) -> Expected:
    """-s and -o move the picture: u 0.5 further, so that every face sees the field beside its own."""
    _palette(folder, "map_options", "map_Kd -clamp off -o 0.5 0 0 -s 1 1 1 my skin.png", "my skin.png")
    return tetra(PALETTE[1], PALETTE[0], PALETTE[3], PALETTE[2])


def backslash_texture(folder: Path) -> Expected:
    return _palette(folder, "backslash_texture", "map_Kd .\\textures\\skin.png", "textures/skin.png")


def wrong_case_texture(folder: Path) -> Expected:
    return _palette(folder, "wrong_case_texture", "map_Kd Textures\\Skin.PNG", "textures/skin.png")


def authors_own_disk(folder: Path) -> Expected:
    """The path of the author's disk; the picture itself came along."""
    return _palette(folder, "authors_own_disk", "map_Kd C:\\Users\\Someone\\chair\\skin.png", "skin.png")


def authors_own_home(folder: Path) -> Expected:
    return _palette(folder, "authors_own_home", "map_Kd /home/someone/chair/textures/skin.png", "textures/skin.png")


def quoted_texture(folder: Path) -> Expected:
    return _palette(folder, "quoted_texture", 'map_Kd "my skin.png"', "my skin.png")


def texture_in_map_ka(folder: Path) -> Expected:
    """Only the ambient map names the picture (photogrammetry)."""
    return _palette(folder, "texture_in_map_ka", "map_Ka skin.png", "skin.png")


def dark_kd_under_a_texture(folder: Path) -> Expected:
    """Kd 0 beside a map_Kd: programs that multiply show black; nearly all show the picture."""
    return _palette(folder, "dark_kd_under_a_texture", "Kd 0 0 0\nmap_Kd skin.png", "skin.png")


def tr_is_not_d(folder: Path) -> Expected:
    """Tr 0 is opaque: the contrary of d."""
    _red(folder, "tr_is_not_d", f"newmtl red\n{KD_RED}\nTr 0.0\n")
    return replace(tetra(RED), alpha=tuple((place, 1.0) for place in places()))


def d_and_tr(folder: Path) -> Expected:
    _red(folder, "d_and_tr", f"newmtl red\n{KD_RED}\nd 1.0\nTr 0.0\n")
    return replace(tetra(RED), alpha=tuple((place, 1.0) for place in places()))


def obj_vertex_colours(folder: Path) -> Expected:
    """Colours behind the coordinates, as MeshLab and scanners write them."""
    points, faces, _ = separate_faces()
    colours = np.array(PALETTE).repeat(3, axis=0) / 255
    rows = [f"{line} {r:.6f} {g:.6f} {b:.6f}" for line, (r, g, b) in zip(_vertices(points), colours, strict=True)]
    _write(folder / "obj_vertex_colours.obj", [*rows, *(f"f {a + 1} {b + 1} {c + 1}" for a, b, c in faces.tolist())])
    return tetra(*PALETTE)


def material_that_is_not_there(folder: Path) -> Expected:
    """usemtl of a material that no library has: shape and all, in plain grey."""
    _write(folder / "material_that_is_not_there.obj", [line for line in _plain() if not line.startswith("mtllib")])
    return Expected(TETRA, 4)


def non_ascii_names(folder: Path) -> Expected:
    (folder / "Möbel").mkdir()
    palette_image().save(folder / "Möbel" / "木目.png")
    (folder / "Möbel" / "стул.mtl").write_text("newmtl skin\nKd 1 1 1\nmap_Kd 木目.png\n")
    _write(folder / "Möbel" / "non_ascii_ñames.obj", _textured("стул.mtl"))
    return tetra(*PALETTE)


def tiny(folder: Path) -> Expected:
    _red(folder, "tiny", points=moved(TETRA, scale=1e-4))
    small = moved(TETRA, scale=1e-4)
    return Expected(small, 4, tuple((place, RED) for place in places(small)))


def huge(folder: Path) -> Expected:
    _red(folder, "huge", points=moved(TETRA, scale=1e5))
    large = moved(TETRA, scale=1e5)
    return Expected(large, 4, tuple((place, RED) for place in places(large)))


def variants(folder: Path) -> Expected:
    """Four files of one shape; each has a library and a picture of its own. This one is the first."""
    for index, colour in enumerate(PALETTE):
        own = folder / f"variant{index}"
        own.mkdir()
        palette_image(colours=(colour,) * 4).save(own / "texture.png")
        (own / "model.mtl").write_text("newmtl skin\nKd 1 1 1\nmap_Kd texture.png\n")
        _write(own / ("variants.obj" if index == 0 else f"variant_{index}.obj"), _textured(), named=False)
    return tetra(PALETTE[0])


CASES = (
    ModelCase("variants", "3D-FUTURE and ABO, texture variants of one shape", variants),
    ModelCase("tiny", "models in kilometres", tiny),
    ModelCase("huge", "models in micrometres", huge),
    ModelCase("non_ascii_ñames", "assimp/assimp 742", non_ascii_names),
    ModelCase("negative_indices", "mikedh/trimesh 1448, 2364", negative_indices),
    ModelCase("concave_polygon", "OBJ with n-gons (3D-FUTURE, github)", concave_polygon),
    ModelCase("windows_text", "OBJ of Windows programs", windows_text),
    ModelCase("upper_case_extension", "BMCDad/orbiter-blender 33", upper_case_extension),
    ModelCase("continued_line", "OBJ specification", continued_line),
    ModelCase("library_with_blanks", "tinyobjloader/tinyobjloader 355, 385", library_with_blanks),
    ModelCase("two_libraries", "tinyobjloader/tinyobjloader 112", two_libraries),
    ModelCase("map_options", "raysan5/raylib 5535, kovacsv/Online3DViewer 371", map_options),
    ModelCase("backslash_texture", "tinyobjloader/tinyobjloader 248", backslash_texture),
    ModelCase("wrong_case_texture", "BMCDad/orbiter-blender 33", wrong_case_texture),
    ModelCase("authors_own_disk", "leezer3/OpenBVE 973", authors_own_disk),
    ModelCase("authors_own_home", "3D-FRONT-FUTURE/3D-FRONT-ToolBox 25", authors_own_home),
    ModelCase("quoted_texture", "cnr-isti-vclab/meshlab 512", quoted_texture),
    ModelCase("texture_in_map_ka", "DLR-RM/BlenderProc 219", texture_in_map_ka),
    ModelCase("dark_kd_under_a_texture", "CesiumGS/obj2gltf 18", dark_kd_under_a_texture),
    ModelCase("tr_is_not_d", "CloudCompare/CloudCompare 1059", tr_is_not_d),
    ModelCase("d_and_tr", "tinyobjloader/tinyobjloader 43", d_and_tr),
    ModelCase("obj_vertex_colours", "tinyobjloader/tinyobjloader 144, DLR-RM/BlenderProc 57", obj_vertex_colours),
    ModelCase("material_that_is_not_there", "zc-alexfan/arctic 49", material_that_is_not_there),
)
