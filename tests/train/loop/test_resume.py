"""A run that was stopped resumes as if it had not been."""

import json
import os
import signal
import threading
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from pipelines.errors import Interrupted, UsageError
from pipelines.train.loop.stopping import stop_on_signal
from pipelines.train.outputs.metrics_log import read_metrics
from tests.train.loop.spheres import OPTIONS, RECIPE, RealLoader


def contents(checkpoint):
    """Every tensor of a checkpoint, by file and name."""
    files = sorted(checkpoint.rglob("*.safetensors"))
    return {f"{file.name}/{file.parent.name}/{key}": value for file in files for key, value in load_file(file).items()}


def assert_equal_bit_for_bit(checkpoint, other):
    mine, theirs = contents(checkpoint), contents(other)
    assert mine.keys() == theirs.keys() and len(mine) > 50
    different = [key for key in mine if not torch.equal(mine[key], theirs[key])]
    assert different == []


def without_times(folder):
    """The metrics of a stage, but for what depends on the machine."""
    depends = ("time", "samples_per_s", "data_wait")
    return [{k: v for k, v in line.items() if k not in depends} for line in read_metrics(folder / "metrics.jsonl")]


class Signalling(RealLoader):
    """Sends this process a signal when step `at` asks for its batches."""

    def __init__(self, at, number=signal.SIGTERM):
        self.at, self.number = at, number

    def training_batches(self, source, options, first_step):
        for step, batches in enumerate(super().training_batches(source, options, first_step), start=first_step):
            if step == self.at:
                os.kill(os.getpid(), self.number)
            yield batches


def test_four_steps_equal_two_and_a_resume_and_two_bit_for_bit(train):
    train("whole", recipe=replace(RECIPE, steps=4))
    train("parts", recipe=replace(RECIPE, steps=2))
    train("parts", recipe=replace(RECIPE, steps=4))
    whole, parts = train.folder("whole"), train.folder("parts")
    assert_equal_bit_for_bit(whole / "checkpoints/step-00000004", parts / "checkpoints/step-00000004")
    assert without_times(whole) == without_times(parts)


def test_a_stage_without_time_left_is_finished_where_it_is_and_resumes_without_a_limit(train):
    endless, now = replace(RECIPE, steps=10**6), replace(OPTIONS, seconds=0.0)
    for _ in range(2):  # the second time it is finished: other stages build on it
        train("timed", recipe=endless, options=now)
        assert json.loads((train.folder("timed") / "result/result.json").read_text())["step"] == 1
    train("timed", recipe=replace(RECIPE, steps=4))
    train("whole", recipe=replace(RECIPE, steps=4))
    assert_equal_bit_for_bit(
        train.folder("whole") / "checkpoints/step-00000004", train.folder("timed") / "checkpoints/step-00000004"
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_saves_the_step_at_hand_and_the_next_run_resumes_from_it(train, number):
    stop = threading.Event()
    with stop_on_signal(stop), pytest.raises(Interrupted) as stopped:
        train("stopped", stop=stop, loader=Signalling(at=2, number=number))
    assert stopped.value.exit_code == 75
    saved = sorted(path.name for path in (train.folder("stopped") / "checkpoints").iterdir())
    assert saved == ["step-00000002", "step-00000003"]
    train("stopped")
    train("whole")
    assert_equal_bit_for_bit(
        train.folder("whole") / "checkpoints/step-00000004", train.folder("stopped") / "checkpoints/step-00000004"
    )


def test_what_was_logged_after_the_last_checkpoint_is_logged_once(train):
    options = replace(OPTIONS, every=3)
    with pytest.raises(ZeroDivisionError):
        train(options=options, recipe=replace(RECIPE, steps=6), loader=Failing(at=5))
    train(options=options, recipe=replace(RECIPE, steps=6))
    lines = read_metrics(train.folder() / "metrics.jsonl")
    assert [line["step"] for line in lines if line["kind"] == "train"] == [1, 2, 3, 4, 5, 6]


class Failing(Signalling):
    def training_batches(self, source, options, first_step):
        for step, batches in enumerate(
            RealLoader.training_batches(self, source, options, first_step), start=first_step
        ):
            if step == self.at:
                raise ZeroDivisionError
            yield batches


def test_a_finished_stage_is_not_trained_again(train):
    first = train(loader=Failing(at=4))
    again = train(loader=Failing(at=0))
    assert again == first
    assert again.networks["sphere_flow"].with_suffix(".safetensors").exists()
    assert again.facts["mean"] < 0


def test_a_run_of_other_data_or_recipe_is_refused_with_every_difference(train):
    train(recipe=replace(RECIPE, steps=2))
    with pytest.raises(UsageError) as refused:
        train(recipe=replace(RECIPE, steps=4, learning_rate=1e-3), data="cubes")
    lines = str(refused.value).splitlines()
    assert '  data.name: "spheres" -> "cubes"' in lines
    assert "  recipe.learning_rate: 0.002 -> 0.001" in lines
    assert len(lines) == 4


def test_a_run_may_be_made_longer_and_its_micro_batches_smaller(train):
    train(recipe=replace(RECIPE, steps=2))
    train(recipe=replace(RECIPE, steps=3, micro_batch_tokens=1.0))
    assert (train.folder() / "checkpoints/step-00000003").exists()


def test_resume_never_refuses_a_folder_with_checkpoints(train):
    train(recipe=replace(RECIPE, steps=2))
    with pytest.raises(UsageError, match="step-00000002"):
        train(options=replace(OPTIONS, resume="never"))


def test_a_run_resumes_from_a_given_checkpoint(train):
    train("long")
    train("branch", options=replace(OPTIONS, resume=str(train.folder("long") / "checkpoints/step-00000002")))
    assert_equal_bit_for_bit(
        train.folder("long") / "checkpoints/step-00000004", train.folder("branch") / "checkpoints/step-00000004"
    )
    with pytest.raises(UsageError, match=r"trainer\.json"):
        train("nowhere", options=replace(OPTIONS, resume=str(train.folder("long"))))
