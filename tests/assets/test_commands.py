"""What a person types, and what comes back."""

import json
import shutil
import subprocess

import pytest

from scenegen.assets.manifest import read_manifest
from scenegen.assets.preparing.ledgers import QUARANTINE, Prepared, Quarantined, append_prepared, append_quarantined
from scenegen.assets.sources.sweethome3d import LICENCES
from scenegen.commands.assets import Check, Fetch, List, Notice, Prepare
from scenegen.errors import SceneGenError, UsageError
from tests.assets.test_library import packed_store
from tests.assets.test_sources import sh3f


def test_list_counts_the_starter_pack_and_prints_its_records(capsys):
    assert List().run() == 0
    assert "licence: CC0-1.0" in capsys.readouterr().out
    assert List(records=True).run() == 0
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    assert first["licence"] == "CC0-1.0" and len(first["sha256"]) == 64


def test_check_finds_the_one_file_that_was_changed(tmp_path, capsys):
    store = packed_store(tmp_path / "store")
    assert Check(store=(str(store),)).run() == 0
    with (store / "objects" / "two.glb").open("ab") as file:
        file.write(b"more")
    assert Check(store=(str(store),)).run() == 1
    out = capsys.readouterr().out
    assert "asset two: two.glb is not the file of the manifest" in out and "2 objects checked, 1 faulty" in out


def test_check_names_the_raw_file_of_a_fault_and_what_preparation_refused(tmp_path, capsys):
    store = packed_store(tmp_path / "store")
    for record in read_manifest(store / "manifest.jsonl"):
        append_prepared(store, Prepared(record, f"chairs/{record.uid}.obj"))
    append_quarantined(store / QUARANTINE, Quarantined("d6d9", "mine", "/raw/a.obj", "zero faces", "tables/a.obj"))
    (store / "objects" / "two.glb").write_bytes(b"other")
    assert Check(store=(str(store),)).run() == 1
    out = capsys.readouterr().out
    assert "chairs/two.obj: two.glb is not the file of the manifest" in out and "(uid two)" in out
    assert "tables/a.obj: zero faces (uid d6d9)" in out and "1 faulty" in out


def test_check_writes_the_manifest_of_a_folder_of_maps(tmp_path, capsys):
    from tests.assets.test_hdris import radiance

    (tmp_path / "sky.hdr").write_bytes(radiance(8, 4))
    assert Check(write=tmp_path).run() == 0
    assert (tmp_path / "manifest.jsonl").is_file()
    assert Check(hdris=(str(tmp_path),), store=(str(packed_store(tmp_path / "store")),)).run() == 0
    assert "1 hdris checked, 0 faulty" in capsys.readouterr().out


def test_notice_goes_to_a_file(tmp_path):
    assert Notice(out=tmp_path / "NOTICE").run() == 0
    assert "publicdomain/zero/1.0" in (tmp_path / "NOTICE").read_text()


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb")
def test_fetch_unpacks_a_given_package_and_attributes_its_models(tmp_path, capsys):
    package = tmp_path / "package"
    furniture = package / "usr" / "share" / "furniture"
    furniture.mkdir(parents=True)
    for name in LICENCES:
        sh3f(furniture / f"{name}.sh3f")
    (package / "DEBIAN").mkdir()
    (package / "DEBIAN" / "control").write_text(
        "Package: sweethome3d-furniture\nVersion: 1.8\nArchitecture: all\nMaintainer: a <a@b.c>\nDescription: x\n"
    )
    subprocess.run(["dpkg-deb", "-b", str(package), str(tmp_path / "a.deb")], check=True, capture_output=True)
    assert Fetch(out=tmp_path / "out", deb=tmp_path / "a.deb").run() == 0
    assert "Scopia.sh3f: 2 usable models" in capsys.readouterr().out
    text = (tmp_path / "out" / "ATTRIBUTION.txt").read_text()
    assert '"Chair" by Ada, from the SweetHome3D library BlendSwap-CC-BY, CC-BY-3.0' in text


def test_fetch_of_a_damaged_package_says_so(tmp_path):
    (tmp_path / "a.deb").write_bytes(b"no package")
    with pytest.raises(SceneGenError, match="dpkg-deb"):
        Fetch(out=tmp_path / "out", deb=tmp_path / "a.deb").run()


def test_prepare_refuses_an_input_that_is_not_there_or_not_what_it_is_said_to_be(tmp_path):
    with pytest.raises(UsageError, match="there is no"):
        Prepare(tmp_path / "none", tmp_path / "store").assets()
    with pytest.raises(UsageError, match=r"no \.sh3f file"):
        list(Prepare(tmp_path, tmp_path / "store", source="sweethome3d").assets())
    assert not (tmp_path / "store").exists()
