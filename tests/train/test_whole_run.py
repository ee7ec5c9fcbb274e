"""The command on a tiny dataset: stages on each other's results, resume, signals, what is missing."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from pipelines.train.cli import main

SMALL = ["--size", "tiny", "--encoders", "efficientnet_lite0", "--batch-size", "2", "--validation-samples", "1"]


def train(data, run, stage, *more):
    """The exit code of train-fixer."""
    options = ["--shards", str(data), "--run-dir", str(run), "--stage", stage, "--device", "cpu", *SMALL, *more]
    return main([*options, *(() if "--workers" in more else ("--workers", "0"))])


IN_NO_TIME = ("--max-steps", "9", "--max-minutes", "0.0001", "--workers", "1")


@pytest.fixture(scope="module")
def run(tiny_data, tmp_path_factory):
    """A run with a structure VAE that time ended after a step, by one worker process."""
    folder = tmp_path_factory.mktemp("run")
    assert train(tiny_data, folder, "structure_vae", *IN_NO_TIME) == 0
    return folder


def test_a_stage_is_trained_on_the_result_of_one_that_time_ended_and_the_same_commands_again_change_nothing(
    tiny_data, run
):
    assert train(tiny_data, run, "structure_base", "--max-steps", "1") == 0
    of_base, of_vae = (
        json.loads((run / name / "config.json").read_text()) for name in ("structure_base", "structure_vae")
    )
    assert set(of_base["weights"]) == {"structure_encoder", "structure_decoder"}
    assert set(of_base["data"]["datasets"][0]["tables"]) > set(of_vae["data"]["datasets"][0]["tables"])
    assert (run / "structure_base/result/structure_flow.safetensors").exists()
    results = {file: file.stat().st_mtime_ns for file in run.glob("*/result/result.json")}
    assert [json.loads(file.read_text())["step"] for file in results] == [1, 1]
    assert train(tiny_data, run, "structure_vae", *IN_NO_TIME) == 0
    assert train(tiny_data, run, "structure_base", "--max-steps", "1") == 0
    assert {file: file.stat().st_mtime_ns for file in results} == results


def test_a_run_ends_with_a_page_that_has_its_command_and_comes_back_with_it(tiny_data, run):
    page = run / "index.html"
    page.unlink(missing_ok=True)
    assert train(tiny_data, run, "structure_vae", *IN_NO_TIME) == 0
    (first, *_) = json.loads((run / "structure_vae/invocations.json").read_text())
    assert first["command"].startswith(f"train-fixer --shards {tiny_data} --run-dir {run} --stage structure_vae")
    assert first["from_step"] == 0
    assert first["data"] == [str(tiny_data)]
    text = page.read_text()
    assert first["command"] in text
    assert "CC0-1.0" in text
    assert json.loads((run / "structure_vae/config.json").read_text())["digest"] in text


def test_a_stage_without_the_one_before_it_says_which_is_missing(tiny_data, tmp_path, capsys):
    assert train(tiny_data, tmp_path, "coarse", "--max-steps", "1") == 1
    assert "structure_" in capsys.readouterr().err


def test_another_recipe_than_that_of_a_finished_stage_is_refused(tiny_data, run, capsys):
    assert train(tiny_data, run, "structure_vae", *IN_NO_TIME, "--learning-rate", "0.5") == 2
    assert "recipe.learning_rate: " in capsys.readouterr().err


def test_a_page_that_cannot_be_written_is_said_and_ends_nothing(tiny_data, run, capsys):
    page = run / "index.html"
    page.unlink(missing_ok=True)
    page.mkdir()
    assert train(tiny_data, run, "structure_vae", *IN_NO_TIME) == 0
    assert "the page of this run was not written: IsADirectoryError" in capsys.readouterr().err
    page.rmdir()


def test_a_missing_table_is_named_with_the_command_that_makes_it(tiny_data, run, capsys):
    assert train(tiny_data, run, "slat_vae", "--max-steps", "1") == 2
    said = capsys.readouterr().err
    assert f"scenegen objects --data {tiny_data} --steps features --extractor efficientnet_lite0" in said


def test_missing_data_and_an_unwritable_run_folder_are_told(tiny_data, tmp_path, capsys):
    assert train(tmp_path / "nothing", tmp_path / "run", "structure_vae", "--max-steps", "1") == 2
    assert "scenegen render" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert train(tiny_data, tmp_path / "file", "structure_vae", "--max-steps", "1") == 1
    assert "cannot write" in capsys.readouterr().err


def test_sigterm_ends_with_75_and_a_checkpoint_that_the_same_command_resumes_from(tiny_data, tmp_path):
    stage = tmp_path / "run/structure_vae"
    options = ["--shards", str(tiny_data), "--run-dir", str(tmp_path / "run"), "--stage", "structure_vae", *SMALL]
    command = [sys.executable, "-m", "pipelines.train.cli", *options, "--max-steps", "1000", "--workers", "1"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    waited_until = time.monotonic() + 120
    while not (stage / "metrics.jsonl").exists() and process.poll() is None and time.monotonic() < waited_until:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 75, said
    (checkpoint,) = (stage / "checkpoints").iterdir()
    assert f"saved {checkpoint}; run the same command again" in said
    assert "of 1000, not finished" in (tmp_path / "run/index.html").read_text()
