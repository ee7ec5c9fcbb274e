"""Collections become raw assets with the right files, licences and splits."""

import csv
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from scenegen.assets.notice import licence_summary, notice
from scenegen.assets.sources.folder import read_folder
from scenegen.assets.sources.raw import hashed_split
from scenegen.assets.sources.sweethome3d import looks_from_mtl, parse_catalogue, read_library
from scenegen.assets.sources.trellis import RowFilter, read_collection
from scenegen.errors import SceneGenError, UsageError
from tests.assets.models import l_shape_glb, textured_obj

CATALOGUE = """
id#1=Chair
name#1=Chair
category#1=Office
model#1=/models/chair/chair.obj
width#1=50
depth#1=60
height#1=100
doorOrWindow#1=false
creator#1=Ada
name#2=Front door
category#2=Doors and windows
model#2=/models/door/door.obj
width#2=90
depth#2=10
height#2=200
doorOrWindow#2=true
name#3=Spiral staircase
category#3=Staircases
staircaseCutOutShape#3=M0,0
model#3=/models/stairs/stairs.obj
width#3=90
depth#3=10
height#3=200
doorOrWindow#3=false
name#4=Walking man
category#4=Characters
model#4=/models/man/man.obj
width#4=90
depth#4=10
height#4=200
doorOrWindow#4=false
name#5=Phone
category#5=Misc
model#5=/models/phone/phone.obj
modelRotation#5=1 0 0 0 0 1 0 -1 0
width#5=6
depth#5=11
height#5=1
doorOrWindow#5=false
creator#5=Bob
"""


def metadata(folder: Path, rows: list[dict[str, str]]) -> Path:
    with (folder / "metadata.csv").open("w", newline="") as file:
        columns = ["sha256", "file_identifier", "aesthetic_score", "captions", "local_path"]
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    return folder


def sh3f(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("PluginFurnitureCatalog.properties", CATALOGUE)
        for name in ("chair", "door", "stairs", "man", "phone"):
            archive.writestr(f"models/{name}/{name}.obj", "v 0 0 0\n")
            archive.writestr(f"models/{name}/{name}.mtl", "newmtl a\nKd 1 0 0\nKs 0 0 0\nNs 5\nd 0.3\n")
    return path


def test_a_furniture_library_gives_things_but_no_people_doors_or_stairs(tmp_path):
    found = list(read_library(sh3f(tmp_path / "BlendSwap-CC-0.sh3f")))
    assert [raw.uid for raw in found] == ["blendswap-cc0-chair", "blendswap-cc0-phone"]
    chair = found[0]
    assert (chair.licence, chair.author, chair.root) == ("CC0-1.0", "Ada", "models/chair")
    assert chair.shown == "BlendSwap-CC-0.sh3f/models/chair/chair.obj"
    assert dict(chair.looks)["a"].alpha == pytest.approx(0.3)
    assert [raw.uid for raw in read_library(tmp_path / "BlendSwap-CC-0.sh3f", frozenset({"phone"}))] == [chair.uid]


def test_a_catalogue_rotation_acts_in_the_z_up_frame():
    phone = parse_catalogue(CATALOGUE)[-1]
    R_y_up = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])
    point = np.array([0.2, 0.3, 0.5])  # y up
    z_up = lambda p: np.array([p[0], -p[2], p[1]])  # noqa: E731
    assert np.allclose(np.array(phone.rotation).reshape(3, 3) @ z_up(point), z_up(R_y_up @ point))


def test_a_library_of_unknown_licence_or_a_file_that_is_none_is_refused(tmp_path):
    with pytest.raises(SceneGenError, match="licence is known"):
        list(read_library(sh3f(tmp_path / "Other.sh3f")))
    (tmp_path / "Scopia.sh3f").write_bytes(b"no zip")
    with pytest.raises(SceneGenError, match="not a SweetHome3D"):
        list(read_library(tmp_path / "Scopia.sh3f"))


def test_phong_materials_become_believable_principled_ones():
    looks = looks_from_mtl(
        "newmtl Glass pane\nKd 0.8 0.9 1\nKs 1 1 1\nNs 120\nd 0.2\n"
        "newmtl Chrome\nKd 0.3 0.3 0.3\nKs 1 1 1\nNs 100\nd 1\n"
        "newmtl Cloth\nKd 0.5 0.1 0.1\nKs 0 0 0\nNs 10\nd 1\n"
        "newmtl Black\nKd 0 0 0\nKs 0.5 0.5 0.5\nNs 50\nd 1\n"
    )
    assert looks["Glass pane"].alpha == pytest.approx(0.2) and looks["Glass pane"].roughness < 0.4
    assert looks["Chrome"].metallic == 1.0 and 0.2 < min(looks["Chrome"].base_color) < 0.4
    assert looks["Cloth"].metallic == 0.0 and looks["Cloth"].roughness >= 0.7
    assert min(looks["Black"].base_color) > 0  # nothing in a room is perfectly black


def test_a_metadata_csv_gives_rows_with_files_scores_and_frozen_splits(tmp_path):
    rows = [
        {
            "sha256": f"{i:064x}",
            "local_path": f"raw/{i}.glb",
            "aesthetic_score": str(4 + i / 100),
            "file_identifier": "x",
        }
        for i in range(400)
    ]
    rows += [{"sha256": "f" * 64, "local_path": "", "aesthetic_score": "9"}, rows[0]]
    found = list(read_collection("HSSD", metadata(tmp_path, rows)))
    assert len(found) == 401 and found[-1].uid == found[0].uid
    assert found[0].path == str(tmp_path / "raw/0.glb")
    assert found[0].licence == "CC-BY-NC-4.0" and not found[0].commercial_use
    counts = Counter(raw.split for raw in found)
    assert counts["train"] > 381 and counts["val"] + counts["test"] >= 2
    assert all(raw.split == hashed_split(raw.uid, 0.98, 0.01) for raw in found)
    assert len(list(read_collection("HSSD", tmp_path, keep=RowFilter(min_aesthetic_score=5.0)))) == 300
    assert {raw.split for raw in read_collection("Toys4k", tmp_path)} == {"test"}


def test_a_github_model_is_a_name_inside_its_zip(tmp_path):
    rows = [{"sha256": "a" * 64, "local_path": "raw/github/repos/me/things.zip/models/chair.obj"}]
    (raw,) = read_collection("ObjaverseXL_github", metadata(tmp_path, rows))
    assert raw.path == "models/chair.obj" and raw.archive.endswith("raw/github/repos/me/things.zip")
    assert raw.shown == rows[0]["local_path"]


def test_a_csv_of_another_kind_and_a_missing_one_are_refused(tmp_path):
    with pytest.raises(UsageError, match="--metadata"):
        list(read_collection("ABO", tmp_path))
    (tmp_path / "metadata.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SceneGenError, match="no column sha256"):
        list(read_collection("ABO", tmp_path))
    with pytest.raises(UsageError, match="choose one of"):
        list(read_collection("ShapeNet", tmp_path))


def test_a_plain_folder_gives_every_model_equal_ones_with_one_uid(tmp_path):
    l_shape_glb(tmp_path / "a.glb")
    (tmp_path / "deep").mkdir()
    l_shape_glb(tmp_path / "deep" / "copy.glb")
    textured_obj(tmp_path / "obj")
    found = list(read_folder(tmp_path, "mine", "CC-BY-4.0", "me"))
    assert {raw.label: raw.name for raw in found} == {"a.glb": "a", "deep/copy.glb": "copy", "obj/model.obj": "model"}
    assert found[0].uid == found[1].uid != found[2].uid
    assert all(len(raw.uid) == 64 for raw in found)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UsageError, match="no model file"):
        list(read_folder(empty, "mine"))


def test_a_notice_names_every_work_under_its_licence_in_a_fixed_order(tmp_path):
    from scenegen.assets.manifest import read_manifest
    from tests.assets.test_library import packed_store

    records = list(read_manifest(packed_store(tmp_path / "s", commercial_use=False) / "manifest.jsonl"))
    text = notice(records)
    assert text == notice(records[::-1])
    assert "CC-BY-4.0  https://creativecommons.org/licenses/by/4.0/" in text
    assert "one: by me (no commercial use)" in text
    assert licence_summary(records) == "CC-BY-4.0"
