"""Environment maps and materials are known by what they hold, not by their names."""

import json
import struct
import sys

import numpy as np
import pytest
from PIL import Image

from scenegen.assets.files import write_folder_manifest
from scenegen.assets.hdris import HdriLibrary, datafiles_folder, index_folder, read_size
from scenegen.assets.materials import MaterialLibrary
from scenegen.config import AssetsConfig
from scenegen.errors import AssetError, SceneGenError, UsageError


def radiance(width: int, height: int) -> bytes:
    head = f"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y {height} +X {width}\n".encode()
    return head + np.full((height, width, 4), 128, np.uint8).tobytes()


def test_the_eight_cc0_maps_of_bpy_are_there_without_importing_bpy():
    library = HdriLibrary.open(AssetsConfig())
    assert len(library.uids) == 8 and "bpy/sunset" in library.uids
    assert {record.licence for record in library.records.values()} == {"CC0-1.0"}
    assert all(library.path(uid).suffix == ".exr" for uid in library.uids)
    assert "bpy" not in sys.modules or hasattr(sys.modules["bpy"], "app")


def test_a_folder_of_maps_is_found_with_sizes_and_hashes(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "sky.hdr").write_bytes(radiance(64, 32))
    (tmp_path / "city.exr").write_bytes((datafiles_folder() / "city.exr").read_bytes())
    library = HdriLibrary.open(AssetsConfig(hdris=(str(tmp_path), "bpy")))
    mine = [uid for uid in library.uids if not uid.startswith("bpy/")]
    assert [uid.split("/", 1)[1] for uid in mine] == ["a/sky", "city"]
    assert library.records[mine[0]].name == "sky 64x32"
    assert read_size(tmp_path / "city.exr") == (1024, 512)


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.hdr", b"<html>404</html>", "first bytes"),
        ("a.exr", b"\x89PNG\r\n\x1a\n" + b"0" * 100, "first bytes"),
        ("a.hdr", radiance(64, 32)[:60], "cut short"),
        ("a.hdr", b"#?RADIANCE\n\n-Y 99999999 +X 99999999\n" + b"0" * 100, "cut short|pixels"),
        ("a.exr", struct.pack("<II", 20000630, 2), "is not an HDR map"),
        ("a.exr", b"", "first bytes"),
    ],
)
def test_a_map_that_is_none_is_a_one_line_error(name, content, why, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SceneGenError, match=why) as caught:
        HdriLibrary.open(AssetsConfig(hdris=(str(tmp_path),)))
    assert "\n" not in str(caught.value) and name in str(caught.value)


def test_a_truncated_exr_is_named(tmp_path):
    (tmp_path / "a.exr").write_bytes((datafiles_folder() / "city.exr").read_bytes()[:-1000])
    with pytest.raises(SceneGenError, match="cut short"):
        read_size(tmp_path / "a.exr")


def test_an_empty_or_missing_folder_is_a_usage_error(tmp_path):
    for name in (tmp_path, tmp_path / "missing"):
        with pytest.raises(UsageError):
            HdriLibrary.open(AssetsConfig(hdris=(str(name),)))


def test_a_map_changed_after_its_manifest_was_written_is_not_used(tmp_path):
    (tmp_path / "sky.hdr").write_bytes(radiance(8, 4))
    assert write_folder_manifest(tmp_path, index_folder(tmp_path)) == 1
    (tmp_path / "sky.hdr").write_bytes(radiance(16, 8))
    library = HdriLibrary.open(AssetsConfig(hdris=(str(tmp_path),)))
    with pytest.raises(AssetError, match="sha256 differs"):
        library.path(library.uids[0])


def test_texture_sets_and_blend_files_are_found_as_materials(tmp_path):
    for folder, color in (("Oak", "Oak_2K_Color.png"), ("deep/Tile", "tile_albedo.png"), ("notes", "readme.png")):
        (tmp_path / folder).mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(tmp_path / folder / color)
    (tmp_path / "marble.blend").write_bytes(b"BLENDER-v405" + b"\0" * 64)
    (tmp_path / "fake.blend").write_bytes(b"no blender")
    library = MaterialLibrary.open(AssetsConfig(materials=("procedural", str(tmp_path))))
    assert [uid.split("/", 1)[1] for uid in library.uids] == ["Oak", "deep/Tile", "marble"]
    assert library.path(library.uids[0]).is_dir()
    assert MaterialLibrary.open(AssetsConfig()).uids == ()
    with pytest.raises(UsageError, match="holds no material"):
        MaterialLibrary.open(AssetsConfig(materials=(str(tmp_path / "notes"),)))


def test_a_manifest_that_names_a_file_outside_the_folder_is_refused(tmp_path):
    (tmp_path / "sky.hdr").write_bytes(radiance(8, 4))
    write_folder_manifest(tmp_path, index_folder(tmp_path))
    record = json.loads((tmp_path / "manifest.jsonl").read_text())
    (tmp_path / "manifest.jsonl").write_text(json.dumps({**record, "file": "../other.hdr"}) + "\n")
    with pytest.raises(SceneGenError, match="leaves the folder"):
        HdriLibrary.open(AssetsConfig(hdris=(str(tmp_path),)))
