"""What TensorBoard shows, read by TensorBoard itself."""

from dataclasses import replace

import pytest

from pipelines.train.outputs.metrics_log import read_metrics
from tests.train.loop.spheres import OPTIONS, RECIPE
from tests.train.loop.test_resume import Failing

accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


def test_a_run_that_was_killed_and_resumed_shows_each_step_once_and_its_pictures(train):
    """Killed after step 5 with its last checkpoint at step 3, it takes steps 4 and 5 again."""
    six, often = replace(RECIPE, steps=6), replace(OPTIONS, every=3)
    with pytest.raises(ZeroDivisionError):
        train(options=often, recipe=six, loader=Failing(at=5))
    train(options=often, recipe=six)
    shown = accumulators.EventAccumulator(str(train.folder() / "tensorboard"))
    shown.Reload()
    lines = read_metrics(train.folder() / "metrics.jsonl")
    for kind, name in (("train", "loss"), ("train", "gradient_norm"), ("validation", "loss")):
        series = [(one.step, one.value) for one in shown.Scalars(f"{kind}/{name}")]
        logged = [(line["step"], line[name]) for line in lines if line["kind"] == kind]
        assert [step for step, _ in series] == [step for step, _ in logged] != []
        assert [value for _, value in series] == pytest.approx([value for _, value in logged], rel=1e-5)
    assert [image.step for image in shown.Images("sphere")] == [3, 6]
