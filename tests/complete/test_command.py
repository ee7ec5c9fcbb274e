"""The command as a user types it."""

import json

import numpy as np
import pytest
import trimesh
from PIL import Image

from pipelines.complete.cli import main
from pipelines.errors import EXIT_DONE, EXIT_ERROR, EXIT_USAGE

SMALL = ("--steps", "1", "--guidance", "0", "--device", "cpu")


@pytest.fixture
def files(scene, tmp_path):
    Image.fromarray(scene.rgb_HW3).save(tmp_path / "in.png")
    Image.fromarray(scene.ids_HW.astype(np.uint8)).save(tmp_path / "masks.png")
    np.save(tmp_path / "depth.npy", scene.depth_HW)
    return tmp_path


def test_files_in_and_a_scene_splats_objects_and_a_report_out(files, tiny_checkpoint) -> None:
    outputs = ("--splats", files / "s.ply", "--objects-dir", files / "objects", "--report", files / "report.json")
    inputs = (
        "--image",
        files / "in.png",
        "--masks",
        files / "masks.png",
        "--depth",
        files / "depth.npy",
        "--fov-deg",
        50,
    )
    out = files / "out" / "scene.glb"
    arguments = ("--checkpoint", tiny_checkpoint, *inputs, "--out", out, *outputs, "--instances", 2, 4, *SMALL)
    assert main([str(one) for one in arguments]) == EXIT_DONE
    assert set(trimesh.load_scene(out).graph.nodes_geometry) == {"instance_002", "instance_004"}
    assert sorted(path.name for path in (files / "objects").iterdir()) == ["2.glb", "4.glb"]
    report = json.loads((files / "report.json").read_text())
    assert report["system"] == "random weights, never trained (tests)"
    assert report["depth_ratio"] == 1.0
    assert report["samplers"]["coarse"]["steps"] == 1


def test_a_row_of_a_dataset_brings_everything_and_exact_depth_means_alpha_0(
    dataset_dir, tiny_checkpoint, tmp_path
) -> None:
    """The dataset's one visible object has 8 x 8 pixels: too small to be completed, which is said, with exit code 1."""
    arguments = ("--checkpoint", tiny_checkpoint, "--shards", dataset_dir, "--view", 1, "--out", tmp_path / "s.glb")
    assert main([str(one) for one in (*arguments, "--report", tmp_path / "r.json", *SMALL)]) == EXIT_DONE
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["depth_ratio"] == 0.0
    assert report["inputs"]["scene_index"] == 0
    assert list(report["instances"]) == ["3"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], EXIT_USAGE, "--shards and --view"),
        (["--image", "a.png"], EXIT_USAGE, "--masks"),
        (["--image", "a.png", "--shards", "d"], EXIT_USAGE, "not both"),
        (["--shards", "d"], EXIT_USAGE, "--view"),
        (["--image", "a.png", "--masks", "m.png"], EXIT_ERROR, "a.png cannot be read"),
        (["--image", "a.png", "--masks", "m.png", "--encoder-weights", "clip=x"], EXIT_USAGE, "dinov2=FILE"),
        (["--shards", "nowhere", "--view", "0"], EXIT_ERROR, "nowhere"),
        (["--shards", "d", "--view", "0", "--steps", "0"], EXIT_USAGE, "at least one step"),
        (["--shards", "d", "--view", "0", "--rescale-t", "0"], EXIT_USAGE, "positive number"),
        (["--shards", "d", "--view", "0", "--guidance-interval", "1", "0.2"], EXIT_USAGE, "from time 1 to 0.2"),
        (["--shards", "d", "--view", "0", "--texture", "0"], EXIT_USAGE, "16 to 16384"),
        (["--shards", "d", "--view", "0", "--max-faces", "-1"], EXIT_USAGE, "at least 4"),
        (["--shards", "d", "--view", "0", "--memory-gb", "-1"], EXIT_USAGE, "--memory-gb"),
        (["--image", "a.png", "--masks", "m.png", "--depth-unit-m", "0"], EXIT_USAGE, "--depth-unit-m"),
        (["--image", "a.png", "--masks", "m.png", "--depth-unit-m", "inch"], EXIT_USAGE, "m, cm, mm, scannet, tum"),
        (["--shards", "d", "--view", "0", "--depth-unit-m", "mm"], EXIT_USAGE, "--depth-unit-m is for --image"),
        (["--shards", "d", "--view", "0", "--split-components"], EXIT_USAGE, "--split-components is for --image"),
        (["--shards", "d", "--view", "0", "--alpha", "7"], EXIT_USAGE, "--alpha"),
        (["--shards", "d", "--view", "0", "--seed", "-1"], EXIT_USAGE, "--seed"),
        (["--shards", "d", "--view", "0", "--splats", "."], EXIT_USAGE, "is a folder"),
    ],
)
def test_mistakes_are_answered_in_a_line(arguments, code, said, tmp_path, capsys) -> None:
    assert main(["--checkpoint", "c", "--out", str(tmp_path / "s.glb"), *arguments]) == code
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") <= 3


def test_what_was_assumed_of_files_is_said_and_reported(files, scene, tiny_checkpoint, capsys) -> None:
    """One black and white mask of five spheres, and depth in millimetres, as people have them."""
    Image.fromarray((scene.ids_HW > 0)[::2, ::2]).save(files / "masks.png")
    Image.fromarray(np.nan_to_num(scene.depth_HW * 1000).astype(np.uint16)).save(files / "depth.png")
    inputs = ("--image", files / "in.png", "--masks", files / "masks.png", "--depth", files / "depth.png")
    outputs = ("--out", files / "s.glb", "--report", files / "r.json")
    given = ("--checkpoint", tiny_checkpoint, *inputs, "--fov-deg", 50, *outputs, *SMALL)
    assert main([str(one) for one in (*given, "--instances", 8)]) == EXIT_USAGE
    said = capsys.readouterr().err
    assert "taken as one object, 1, in 5 parts that do not touch" in said
    assert "there is no instance 8 among the masks; there are [1] alone" in said
    assert "depth taken as mm: " in said
    assert "brought to the image's 176x112" in said
    assert main([str(one) for one in (*given, "--split-components", "--instances", 2)]) == EXIT_DONE
    report = json.loads((files / "r.json").read_text())
    assert list(report["instances"]) == ["2"]
    assert len(report["inputs"]["assumed"]) == 3
    assert all(one in capsys.readouterr().err for one in report["inputs"]["assumed"][:1])


def test_an_image_without_camera_or_depth_says_what_to_give(files, tiny_checkpoint, capsys) -> None:
    inputs = ["--image", str(files / "in.png"), "--masks", str(files / "masks.png")]
    arguments = ["--checkpoint", str(tiny_checkpoint), "--out", str(files / "s.glb"), *inputs]
    assert main(arguments) == EXIT_USAGE
    assert "hf download Ruicheng/moge-2-vitl" in capsys.readouterr().err
    assert main([*arguments, "--depth", str(files / "depth.npy")]) == EXIT_USAGE
    assert "--fov-deg" in capsys.readouterr().err
    assert main([*arguments[:3], "scene.obj", *inputs]) == EXIT_USAGE
    assert "scene.glb" in capsys.readouterr().err


def test_a_missing_package_is_told_before_the_work(monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.setattr("pipelines.complete.export.outputs.find_spec", lambda name: None)
    arguments = ["--checkpoint", "c", "--out", str(tmp_path / "s.glb"), "--shards", "d", "--view", "0"]
    assert main([*arguments, "--texture", "512"]) == EXIT_USAGE
    assert "xatlas, fast_simplification" in capsys.readouterr().err
