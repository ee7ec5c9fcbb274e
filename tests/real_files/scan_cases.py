"""PLY, STL and USD files, written here, and those that only Blender writes (blender_written.py)."""

import struct
from pathlib import Path

import numpy as np

from tests.real_files.model_case import (
    PALETTE,
    RED,
    TETRA,
    TETRA_FACES,
    Expected,
    ModelCase,
    moved,
    palette_image,
    refused,
    separate_faces,
    tetra,
)

PLY_XYZ = "property float x\nproperty float y\nproperty float z\n"
PLY_FACE = "property list uchar int vertex_indices\n"


def _ply(path: Path, kind: str, vertex: str, count: int, body: bytes, faces: int = 4, comment: str = "") -> None:
    header = (
        f"ply\nformat {kind} 1.0\n{comment}element vertex {count}\n{vertex}element face {faces}\n{PLY_FACE}end_header\n"
    )
    path.write_bytes(header.encode() + body)


def _ascii_faces(faces: np.ndarray) -> str:
    return "".join(f"3 {a} {b} {c}\n" for a, b, c in faces.tolist())


def _coloured_rows(colours: np.ndarray) -> bytes:
    points, faces, _ = separate_faces()
    rows = [
        " ".join(map(str, (*point, *colour))) for point, colour in zip(points.tolist(), colours.tolist(), strict=True)
    ]
    return ("\n".join(rows) + "\n" + _ascii_faces(faces)).encode()


def ply_byte_colours(folder: Path) -> Expected:
    vertex = PLY_XYZ + "".join(f"property uchar {name}\n" for name in ("red", "green", "blue"))
    _ply(folder / "ply_byte_colours.ply", "ascii", vertex, 12, _coloured_rows(np.array(PALETTE).repeat(3, axis=0)))
    return tetra(*PALETTE)


def ply_float_colours(folder: Path) -> Expected:
    """Colours from 0 to 1."""
    vertex = PLY_XYZ + "".join(f"property float {name}\n" for name in ("red", "green", "blue"))
    _ply(
        folder / "ply_float_colours.ply", "ascii", vertex, 12, _coloured_rows(np.array(PALETTE).repeat(3, axis=0) / 255)
    )
    return tetra(*PALETTE)


def ply_big_endian(folder: Path) -> Expected:
    body = TETRA.astype(">f4").tobytes() + b"".join(struct.pack(">B3i", 3, *map(int, face)) for face in TETRA_FACES)
    _ply(folder / "ply_big_endian.ply", "binary_big_endian", PLY_XYZ, 4, body)
    return Expected(TETRA, 4)


def ply_texture_file(folder: Path) -> Expected:
    """A picture named in a comment, with UVs at the vertices (MeshLab)."""
    palette_image().save(folder / "skin.png")
    points, faces, uv = separate_faces()
    rows = np.column_stack([points, uv]).tolist()
    body = "".join(" ".join(map(str, row)) + "\n" for row in rows) + _ascii_faces(faces)
    vertex = PLY_XYZ + "property float s\nproperty float t\n"
    _ply(folder / "ply_texture_file.ply", "ascii", vertex, 12, body.encode(), comment="comment TextureFile skin.png\n")
    return tetra(*PALETTE)


def ply_texture_u_v(folder: Path) -> Expected:
    """The same with the other names of the two properties."""
    ply_texture_file(folder)
    path = folder / "ply_texture_file.ply"
    text = path.read_text().replace("float s\n", "float texture_u\n").replace("float t\n", "float texture_v\n")
    (folder / "ply_texture_u_v.ply").write_text(text)
    path.unlink()
    return tetra(*PALETTE)


def ply_texture_of_corners(folder: Path) -> Expected:
    """UVs at the corners of the faces: nothing here reads them, and without them the picture has no place."""
    palette_image().save(folder / "skin.png")
    uv = separate_faces()[2].reshape(4, 6)
    rows = [" ".join(map(str, point)) for point in TETRA.tolist()]
    rows += [f"3 {a} {b} {c} 6 " + " ".join(map(str, six)) for (a, b, c), six in zip(TETRA_FACES, uv, strict=True)]
    header = (
        f"ply\nformat ascii 1.0\ncomment TextureFile skin.png\nelement vertex 4\n{PLY_XYZ}element face 4\n{PLY_FACE}"
    )
    text = header + "property list uchar float texcoord\nend_header\n" + "\n".join(rows) + "\n"
    (folder / "ply_texture_of_corners.ply").write_text(text)
    return refused("texcoord", "OBJ|GLB")


def point_cloud(folder: Path) -> Expected:
    rows = "".join(" ".join(map(str, point)) + "\n" for point in TETRA.tolist())
    (folder / "point_cloud.ply").write_text(f"ply\nformat ascii 1.0\nelement vertex 4\n{PLY_XYZ}end_header\n{rows}")
    return refused("zero faces", "points")


def _stl_triangles() -> bytes:
    return b"".join(struct.pack("<12fH", 0, 0, 0, *TETRA[face].reshape(-1), 0) for face in TETRA_FACES)


def binary_stl_named_solid(folder: Path) -> Expected:
    """A binary file whose header begins with the word of the text format."""
    head = b"solid exported by SolidWorks".ljust(80)
    (folder / "binary_stl_named_solid.stl").write_bytes(head + struct.pack("<I", 4) + _stl_triangles())
    return Expected(TETRA, 4)


def stl_with_a_tail(folder: Path) -> Expected:
    """Bytes behind the last triangle, as some programs add them."""
    (folder / "stl_with_a_tail.stl").write_bytes(bytes(80) + struct.pack("<I", 4) + _stl_triangles() + b"COLOR=\0\0")
    return Expected(TETRA, 4)


def text_stl(folder: Path) -> Expected:
    def facet(face: np.ndarray) -> str:
        rows = "".join(f"VERTEX {x} {y} {z}\n" for x, y, z in TETRA[face].tolist())
        return f"FACET NORMAL 0 0 0\nOUTER LOOP\n{rows}ENDLOOP\nENDFACET\n"

    (folder / "text_stl.STL").write_text("SOLID Möbel\n" + "".join(map(facet, TETRA_FACES)) + "ENDSOLID\n")
    return Expected(TETRA, 4)


USD_MESH = """def Mesh "{name}" {{
    int[] faceVertexCounts = [3, 3, 3, 3]
    int[] faceVertexIndices = [0, 2, 1, 0, 1, 3, 1, 2, 3, 2, 0, 3]
    uniform token subdivisionScheme = "none"
    point3f[] points = [{points}]
    color3f[] primvars:displayColor = [(0.8, 0.1, 0.1)]
    {extra}
}}
"""


def _usd_mesh(name: str, points: np.ndarray, extra: str = "") -> str:
    text = ", ".join(f"({x:.6g}, {y:.6g}, {z:.6g})" for x, y, z in np.asarray(points, np.float64).tolist())
    return USD_MESH.format(name=name, points=text, extra=extra)


def _usd(path: Path, body: str, head: str = 'upAxis = "Z"\n    metersPerUnit = 1') -> None:
    path.write_text(f'#usda 1.0\n(\n    defaultPrim = "Root"\n    {head}\n)\n{body}')


def usd_in_centimetres_y_up(folder: Path) -> Expected:
    points = np.stack([TETRA[:, 0], TETRA[:, 2], -TETRA[:, 1]], axis=1) * 100
    body = 'def Xform "Root" {\n' + _usd_mesh("mesh", points) + "}\n"
    _usd(folder / "usd_in_centimetres_y_up.usda", body, 'upAxis = "Y"\n    metersPerUnit = 0.01')
    return tetra(RED)


def usd_instances(folder: Path) -> Expected:
    """One prototype shown twice by instanceable references; the prototype itself is a class, not to be seen."""
    prototype = 'class "Prototype" {\n' + _usd_mesh("mesh", TETRA) + "}\n"
    shown = "".join(
        f'def Xform "at{x}" (instanceable = true\n prepend references = </Prototype>) {{\n'
        f"double3 xformOp:translate = ({x}, 0, 0)\n"
        'uniform token[] xformOpOrder = ["xformOp:translate"]\n}\n'
        for x in (0, 3)
    )
    _usd(folder / "usd_instances.usda", prototype + 'def Xform "Root" {\n' + shown + "}\n")
    return Expected(np.concatenate([TETRA, moved(TETRA, by=(3, 0, 0))]), 8)


def usd_variants(folder: Path) -> Expected:
    """Only the variant that is chosen."""
    body = (
        'def Xform "Root" (\n variants = {\n string size = "wide"\n }\n prepend variantSets = "size"\n) {\n'
        'variantSet "size" = {\n"plain" {\n' + _usd_mesh("mesh", TETRA) + '}\n"wide" {\n'
        "" + _usd_mesh("mesh", moved(TETRA, scale=(1, 2, 1))) + "}\n}\n}\n"
    )
    _usd(folder / "usd_variants.usda", body)
    return Expected(moved(TETRA, scale=(1, 2, 1)), 4)


def usd_proxy_and_invisible(folder: Path) -> Expected:
    """A proxy for viewports, guides, and what is made invisible are not rendered."""
    body = (
        'def Xform "Root" {\n'
        + _usd_mesh("mesh", TETRA)
        + _usd_mesh("proxy", moved(TETRA, scale=4), 'uniform token purpose = "proxy"')
        + _usd_mesh("guide", moved(TETRA, scale=5), 'uniform token purpose = "guide"')
        + _usd_mesh("unseen", moved(TETRA, scale=6), 'token visibility = "invisible"')
        + "}\n"
    )
    _usd(folder / "usd_proxy_and_invisible.usda", body)
    return Expected(TETRA, 4)


def fbx_as_text(folder: Path) -> Expected:
    (folder / "fbx_as_text.fbx").write_text("; FBX 7.4.0 project file\nFBXHeaderExtension:  {\n}\n")
    return refused("text|ASCII", "binary|GLB")


CASES = (
    ModelCase("ply_byte_colours", "DLR-RM/BlenderProc 57", ply_byte_colours),
    ModelCase("ply_float_colours", "assimp/assimp 1167, dmurdoch/rgl 425", ply_float_colours),
    ModelCase("ply_big_endian", "PLY of scanners", ply_big_endian),
    ModelCase("ply_texture_file", "DLR-RM/BlenderProc 204, 792", ply_texture_file),
    ModelCase("ply_texture_u_v", "DLR-RM/BlenderProc 204", ply_texture_u_v),
    ModelCase("ply_texture_of_corners", "assimp/assimp 3759", ply_texture_of_corners),
    ModelCase("point_cloud", "Anttwo/MAtCha 5", point_cloud),
    ModelCase("binary_stl_named_solid", "STL of CAD programs", binary_stl_named_solid),
    ModelCase("stl_with_a_tail", "STL of CAD programs", stl_with_a_tail),
    ModelCase("text_stl", "STL of CAD programs", text_stl),
    ModelCase("usd_in_centimetres_y_up", "Autodesk/maya-usd 906", usd_in_centimetres_y_up),
    ModelCase("usd_instances", "USD specification", usd_instances),
    ModelCase("usd_variants", "USD specification", usd_variants),
    ModelCase("usd_proxy_and_invisible", "USD specification", usd_proxy_and_invisible),
    ModelCase("fbx_as_text", "Facepunch/sbox-issues 546", fbx_as_text),
)
