"""Which model a file is: its content and that of everything it refers to."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from scenegen.assets.model_files.identity import Identities, file_sha256
from scenegen.assets.model_files.limits import Limits
from scenegen.assets.model_files.safety import check_file
from scenegen.assets.sources.folder import read_folder
from scenegen.errors import AssetError
from tests.assets.models import L_FACES, L_VERTICES, Model, l_shape_glb, textured_obj


def identity(path: Path) -> str:
    return Identities(path.parent).of(path)[0]


def gltf(folder: Path) -> Path:
    """A glTF file with a buffer and a texture beside it."""
    folder.mkdir(parents=True)
    model = Model()
    model.node(mesh=model.mesh(L_VERTICES, L_FACES))
    model.document["images"] = [{"uri": "my%20wood.png"}]
    Image.new("RGB", (2, 2), (9, 9, 9)).save(folder / "my wood.png")
    return model.gltf(folder / "a.gltf", "a.bin")


def usda(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "part.usda").write_text("#usda 1.0\nasset inputs:file = @wood.png@\n")
    Image.new("RGB", (2, 2), (9, 9, 9)).save(folder / "wood.png")
    (folder / "a.usda").write_text('#usda 1.0\ndef "a" (references = @./part.usda@) {}\n')
    return folder / "a.usda"


def dae(folder: Path) -> Path:
    folder.mkdir(parents=True)
    Image.new("RGB", (2, 2), (9, 9, 9)).save(folder / "wood.png")
    (folder / "a.dae").write_text("<COLLADA><image><init_from>wood.png</init_from></image></COLLADA>")
    return folder / "a.dae"


def fbx(folder: Path) -> Path:
    """The bytes that matter of a binary FBX: a string property with the path on its author's disk."""
    folder.mkdir(parents=True)
    name = b"C:\\Users\\Ada\\wood.png"
    Image.new("RGB", (2, 2), (9, 9, 9)).save(folder / "wood.png")
    head = b"Kaydara FBX Binary  \0\x1a\0"
    (folder / "a.fbx").write_bytes(head + b"S" + len(name).to_bytes(4, "little") + name + b"S\x03\0\0\0abc")
    return folder / "a.fbx"


def obj(folder: Path) -> Path:
    return textured_obj(folder)


def named_by_nobody(folder: Path) -> Path:
    """An OBJ without a mtllib line: importers still take the library of the same name."""
    path = textured_obj(folder)
    path.write_text(path.read_text().replace("mtllib model.mtl\n", ""))
    return path


WITH_FILES_BESIDE = {
    obj: ["model.mtl", "wood.png"],
    named_by_nobody: ["model.mtl", "wood.png"],
    gltf: ["a.bin", "my wood.png"],
    usda: ["part.usda", "wood.png"],
    dae: ["wood.png"],
    fbx: ["wood.png"],
}


@pytest.mark.parametrize("make", WITH_FILES_BESIDE, ids=lambda make: make.__name__)
def test_a_model_is_another_when_a_file_that_it_refers_to_is_another_or_missing(make, tmp_path):
    path = make(tmp_path / "one")
    original = identity(path)
    assert original != file_sha256(path)
    assert identity(Path(shutil.copytree(path.parent, tmp_path / "two")) / path.name) == original
    for name in WITH_FILES_BESIDE[make]:
        data = (path.parent / name).read_bytes()
        (path.parent / name).write_bytes(data + b" ")
        changed = identity(path)
        (path.parent / name).unlink()
        missing = identity(path)
        (path.parent / name).write_bytes(data)
        assert len({original, changed, missing}) == 3
    assert identity(path) == original


def test_a_file_beside_a_model_that_does_not_name_it_changes_nothing(tmp_path):
    path = textured_obj(tmp_path)
    before = identity(path)
    Image.new("RGB", (2, 2)).save(tmp_path / "holiday.png")
    assert identity(path) == before


def test_a_model_that_refers_to_nothing_keeps_the_hash_of_its_bytes(tmp_path):
    glb = l_shape_glb(tmp_path / "a.glb")
    (tmp_path / "a.stl").write_bytes(b"solid")
    (tmp_path / "broken.gltf").write_text("{")
    for path in (glb, tmp_path / "a.stl", tmp_path / "broken.gltf"):
        assert Identities(tmp_path).of(path) == (file_sha256(path), file_sha256(path))


def test_what_lies_outside_the_folder_is_not_read(tmp_path):
    path = textured_obj(tmp_path / "model", "../secret.png", write_image=False)
    before = identity(path)
    (tmp_path / "secret.png").write_bytes(b"secret")
    assert identity(path) == before


def test_texture_variants_of_one_shape_are_models_of_one_split(tmp_path):
    for index in range(4):
        folder = tmp_path / f"chair{index}"
        textured_obj(folder)
        Image.new("RGB", (8, 4), (60 * index, 10, 10)).save(folder / "wood.png")
    found = list(read_folder(tmp_path, "mine"))
    assert len({raw.uid for raw in found}) == 4 and len({raw.file_sha256 for raw in found}) == 1
    assert len({raw.split for raw in found}) == 1
    assert [raw.label for raw in found] == [f"chair{index}/model.obj" for index in range(4)]


def test_a_shared_texture_is_read_once(tmp_path, monkeypatch):
    read: list[str] = []

    def count(path: Path) -> str:
        read.append(path.name)
        return file_sha256(path)

    monkeypatch.setattr("scenegen.assets.model_files.identity.file_sha256", count)
    Image.new("RGB", (2, 2)).save(tmp_path / "wood.png")
    for name in ("a", "b", "c"):
        document = {"asset": {"version": "2.0", "extras": name}, "images": [{"uri": "wood.png"}]}
        (tmp_path / f"{name}.gltf").write_text(json.dumps(document))
    assert len({raw.uid for raw in read_folder(tmp_path, "mine")}) == 3
    assert sorted(read) == ["a.gltf", "b.gltf", "c.gltf", "wood.png"]


def test_a_file_that_cannot_be_read_is_refused_alone(tmp_path, monkeypatch):
    l_shape_glb(tmp_path / "good.glb")
    l_shape_glb(tmp_path / "locked.glb")
    opened = Path.open

    def locked(path: Path, *args, **kwargs):
        if path.name == "locked.glb":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", locked)
    good, shut = read_folder(tmp_path, "mine")
    assert good.uid == file_sha256(tmp_path / "good.glb") and shut.uid != good.uid
    with pytest.raises(AssetError, match="cannot be read: Permission denied"):
        check_file(shut.uid, Path(shut.path), tmp_path, Limits())
