"""Filters, folders and interruptions of `scenegen export`."""

import json
from pathlib import Path

import pytest

from scenegen.cli import main
from scenegen.export import webdataset
from scenegen.export.exporter import ExportOptions
from scenegen.export.run import export
from scenegen.export.selection import Filters, parse_range


def typed(data: Path, out: Path, *words: str) -> int:
    return main(["export", "--data", str(data), "--out", str(out), "--workers", "1", "--format", *words])


def views_of(out: Path) -> list[str]:
    return sorted(str(path.relative_to(out)) for path in out.rglob("*.hdf5"))


def test_scenes_and_views_are_chosen_by_indices_and_ranges(data, tmp_path, capsys):
    assert typed(data, tmp_path / "a", "hdf5", "--scenes", "1", "--views", "0-1") == 0
    assert views_of(tmp_path / "a") == ["000001/0.hdf5", "000001/1.hdf5"]
    assert typed(data, tmp_path / "b", "hdf5", "--views", "1") == 0
    assert views_of(tmp_path / "b") == ["000000/1.hdf5", "000001/1.hdf5"]
    assert "2 views of 2 scenes exported" in capsys.readouterr().out
    assert [*parse_range("3-5", "--scenes")] == [3, 4, 5]


def test_small_and_hidden_objects_are_left_out(data, views, tmp_path):
    pytest.importorskip("pycocotools")
    facts = [f for view in views.values() for f in view.facts]
    least, most = sorted(f.visible_px for f in facts)[4], sorted(f.occlusion for f in facts)[-3]
    left = sum(f.visible_px >= least and f.occlusion <= most for f in facts)
    assert 0 < left < sum(f.visible_px >= least for f in facts) < len(facts)
    assert typed(data, tmp_path, "coco", "--min-visible-px", str(least), "--max-occlusion", str(most)) == 0
    annotations = json.loads((tmp_path / "annotations/instances.json").read_text())["annotations"]
    assert len(annotations) == left and all(a["area"] >= least and a["occlusion"] <= most for a in annotations)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["hdf5", "--scenes", "7"], "has scenes 0-1"),
        (["hdf5", "--scenes", "one"], "--scenes 0-9 12"),
        (["hdf5", "--scenes", "5-2"], "5 is more than 2"),
        (["hdf5", "--max-occlusion", "2"], "between 0 and 1"),
        (["hdf5", "--split", "test"], "of the split train alone"),
        (["hdf5", "--min-visible-px", "-1"], "at least 0"),
        (["hdf5", "--amodal-masks"], "belong to --format coco"),
        (["glb", "--stores", "nowhere"], "there is no asset store nowhere"),
    ],
)
def test_what_cannot_be_meant_is_said_before_anything_is_written(data, tmp_path, capsys, words, says):
    assert typed(data, tmp_path / "out", *words) == 2
    assert says in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_folder_with_something_else_is_left_alone(data, tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("precious")
    assert typed(data, tmp_path, "hdf5") == 2 and "choose another --out" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_another_export_does_not_mix_with_the_first_and_the_same_is_not_made_twice(data, tmp_path, capsys):
    assert typed(data, tmp_path / "out", "hdf5") == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    assert typed(data, tmp_path / "out", "hdf5") == 0 and "exported already" in capsys.readouterr().out
    assert typed(data, tmp_path / "out", "hdf5", "--scenes", "0") == 2
    assert "filters differ" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before


def test_a_command_that_was_stopped_goes_on(data, tmp_path, monkeypatch):
    """It leaves whole files alone, and no half of one, and ends with the same bytes."""
    monkeypatch.setattr(webdataset.WebDatasetExporter, "views_per_unit", 2)
    options = ExportOptions(str(data))
    export("webdataset", options, tmp_path / "whole", workers=1)
    sample, written = webdataset._sample, []

    def stop(selected):
        written.append(selected.name)
        if len(written) == 4:
            raise KeyboardInterrupt
        return sample(selected)

    with monkeypatch.context() as patch:
        patch.setattr(webdataset, "_sample", stop)
        with pytest.raises(KeyboardInterrupt):
            export("webdataset", options, tmp_path / "out", workers=1)
    assert [path.name for path in (tmp_path / "out").glob("*.tar")] == ["views-000000.tar"]
    (tmp_path / "out" / ".views-000001.tar.0.tmp").write_text("what a killed process leaves")
    first = (tmp_path / "out/views-000000.tar").stat().st_mtime_ns
    done = export("webdataset", options, tmp_path / "out", workers=1)
    assert done["views"] == 4 and (tmp_path / "out/views-000000.tar").stat().st_mtime_ns == first
    files = [{p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in ("whole", "out")]
    assert files[0] == files[1] and files[0].keys() == {"views-000000.tar", "views-000001.tar", "export.json"}


def test_several_processes_write_what_one_writes(data, tmp_path, exported):
    export("hdf5", ExportOptions(str(data), Filters(scenes=("0-1",))), tmp_path, workers=2)
    assert views_of(tmp_path) == views_of(exported("hdf5"))


def test_a_missing_package_is_named_with_its_extra(data, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert typed(data, tmp_path / "out", "usd") == 1
    assert "pip install 'fixer3d[formats]'" in capsys.readouterr().err
