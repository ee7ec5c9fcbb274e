"""A bad file is refused before an importer sees it, with a reason that names what is wrong."""

import json
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from scenegen.assets.model_files import archives
from scenegen.assets.model_files.limits import Limits
from scenegen.assets.model_files.safety import check_file
from scenegen.errors import AssetError
from tests.assets.models import L_FACES, L_VERTICES, Model, l_shape_glb, textured_obj


def reason(path: Path, root: Path | None = None, **limits: int) -> str:
    with pytest.raises(AssetError) as caught:
        check_file("thing", path, root or path.parent, Limits(**limits))
    assert "\n" not in str(caught.value)
    return caught.value.reason


def test_good_files_pass(tmp_path):
    check_file("thing", l_shape_glb(tmp_path / "a.glb"), tmp_path, Limits())
    check_file("thing", textured_obj(tmp_path), tmp_path, Limits())
    model = Model()
    model.node(mesh=model.mesh(L_VERTICES, L_FACES))
    check_file("thing", model.gltf(tmp_path / "b.gltf"), tmp_path, Limits())
    check_file("thing", model.gltf(tmp_path / "c.gltf", "data.bin"), tmp_path, Limits())


def test_a_truncated_glb_is_named(tmp_path):
    path = l_shape_glb(tmp_path / "a.glb")
    path.write_bytes(path.read_bytes()[:-100])
    assert "truncated" in reason(path)


def test_a_file_that_is_no_glb_is_named(tmp_path):
    path = tmp_path / "a.glb"
    path.write_bytes(b"<html>not found</html>" * 10)
    assert "not a GLB" in reason(path)


def test_zero_faces_are_named(tmp_path):
    model = Model()
    model.node(mesh=model.mesh(L_VERTICES, L_FACES[:0]))
    assert reason(model.glb(tmp_path / "a.glb")) == "zero faces"
    (tmp_path / "a.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\n")
    assert reason(tmp_path / "a.obj") == "zero faces"


@pytest.mark.parametrize("face", ["f\t1 2 3", "  f 1 2 3", "f  1\t2\t3 "])
def test_faces_are_counted_however_their_words_are_set_apart(face, tmp_path):
    (tmp_path / "a.obj").write_text(f"v 0 0 0\nv 1 0 0\nv 0 1 0\n{face}\n")
    check_file("thing", tmp_path / "a.obj", tmp_path, Limits(max_faces=1))


def test_nan_vertices_are_named(tmp_path):
    vertices = L_VERTICES.copy()
    vertices[3, 1] = np.nan
    model = Model()
    model.node(mesh=model.mesh(vertices, L_FACES))
    for accessor in model.document["accessors"]:
        accessor.pop("min", None)
        accessor.pop("max", None)
    assert "NaN" in reason(model.glb(tmp_path / "a.glb"))
    (tmp_path / "a.obj").write_text("v 0 0 nan\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    assert "NaN" in reason(tmp_path / "a.obj")


def test_missing_textures_are_named(tmp_path):
    assert "missing texture: wood.png" in reason(textured_obj(tmp_path, write_image=False))
    model = Model()
    model.node(mesh=model.mesh(L_VERTICES, L_FACES))
    model.document["images"] = [{"uri": "gone%20away.png"}]
    assert "missing texture: gone away.png" in reason(model.gltf(tmp_path / "a.gltf"))


def test_too_many_faces_are_counted_before_anything_is_loaded(tmp_path):
    model = Model()
    mesh = model.mesh(L_VERTICES, np.tile(L_FACES, (100, 1)))
    for _ in range(13):
        model.node(mesh=mesh)
    assert "31200 faces; the limit is 30000" in reason(model.glb(tmp_path / "a.glb"), max_faces=30_000)
    header = b"ply\nformat binary_little_endian 1.0\nelement vertex 3\nelement face 3000000\nend_header\n"
    (tmp_path / "a.ply").write_bytes(header)
    assert "3000000 faces" in reason(tmp_path / "a.ply")
    (tmp_path / "a.stl").write_bytes(b"\0" * 80 + struct.pack("<I", 3_000_000))
    assert "truncated STL" in reason(tmp_path / "a.stl")


@pytest.mark.parametrize("target", ["../secret.bin", "/etc/passwd", "file:///etc/passwd", "http://example.org/a.bin"])
def test_a_buffer_or_texture_that_leaves_its_folder_is_a_path_escape(target, tmp_path):
    (tmp_path / "secret.bin").write_bytes(b"x" * 10_000)
    folder = tmp_path / "model"
    folder.mkdir()
    model = Model()
    model.node(mesh=model.mesh(L_VERTICES, L_FACES))
    model.gltf(folder / "a.gltf")
    document = json.loads((folder / "a.gltf").read_text())
    document["buffers"][0]["uri"] = target
    (folder / "a.gltf").write_text(json.dumps(document))
    assert "path escape" in reason(folder / "a.gltf")
    assert "path escape" in reason(textured_obj(folder, target, write_image=False))


def test_a_symbolic_link_out_of_the_folder_is_a_path_escape(tmp_path):
    folder = tmp_path / "model"
    outside = l_shape_glb(tmp_path / "outside.glb")
    folder.mkdir()
    (folder / "a.glb").symlink_to(outside)
    assert "path escape" in reason(folder / "a.glb")


def test_a_file_beyond_the_byte_limit_is_not_read(tmp_path):
    path = tmp_path / "a.glb"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # sparse
    assert "the limit is" in reason(path)


def test_an_xml_bomb_is_refused(tmp_path):
    (tmp_path / "a.dae").write_text('<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa">]><COLLADA/>')
    assert "entity" in reason(tmp_path / "a.dae")


def test_formats_known_by_their_first_bytes_only(tmp_path):
    for suffix in (".fbx", ".blend", ".usdc", ".usdz", ".ply", ".xyz"):
        (tmp_path / f"a{suffix}").write_bytes(b"garbage" * 100)
        assert reason(tmp_path / f"a{suffix}")


def zip_with(path: Path, names: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in names.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("name", ["../evil.glb", "/tmp/evil.glb", "a/../../evil.glb", "c:\\evil.glb", "a\\..\\evil"])
def test_an_archive_whose_names_leave_the_folder_is_refused_whole(name, tmp_path):
    path = zip_with(tmp_path / "a.zip", {"good.txt": b"x", name: b"x"})
    with pytest.raises(archives.ArchiveError, match="path escape"):
        archives.extract(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_zip_bomb_is_refused_before_it_is_inflated(tmp_path):
    path = zip_with(tmp_path / "a.zip", {"zeros.obj": b"\0" * (80 << 20)})
    with pytest.raises(archives.ArchiveError, match="zip bomb"):
        archives.extract(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_zip_that_lies_about_its_sizes_stops_at_the_limit(tmp_path):
    path = zip_with(tmp_path / "a.zip", {"zeros.obj": b"\0" * (1 << 20)})
    data = bytearray(path.read_bytes())
    central = data.rindex(b"PK\x01\x02")
    data[central + 24 : central + 28] = struct.pack("<I", 10)  # the directory says 10 bytes
    path.write_bytes(bytes(data))
    with pytest.raises(archives.ArchiveError):
        archives.extract(path, tmp_path / "out", max_bytes=1000)
    inflated = tmp_path / "out" / "zeros.obj"
    assert not inflated.exists() or inflated.stat().st_size <= 1000


def test_a_symbolic_link_in_an_archive_is_refused(tmp_path):
    info = zipfile.ZipInfo("link")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(archives.ArchiveError, match="symbolic link"):
        archives.extract(tmp_path / "a.zip", tmp_path / "out")
