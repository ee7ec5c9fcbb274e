"""One step: what is minimised, how it is clipped, and what happens when it is not finite."""

import math
from dataclasses import replace

import pytest
import torch

from pipelines.errors import PipelineError
from pipelines.train.data import loader
from pipelines.train.loop.options import loader_options
from pipelines.train.optimisation.ema import Ema
from pipelines.train.optimisation.learner import Learner
from pipelines.train.optimisation.metrics import ReportQueue
from pipelines.train.optimisation.optimiser import AdaptiveClip
from pipelines.train.optimisation.parallel import Parallel
from pipelines.train.outputs.metrics_log import read_metrics
from tests.train.loop.spheres import ALONE, OPTIONS, RECIPE, SphereSource, SphereStage, batch_of_step

CPU = torch.device("cpu")


def samples_of_step(step):
    return frozenset(batch_of_step(step).index_B.tolist())


def one_step(recipe, **stage):
    """Weights before and after a first step, and what was reported of it."""
    module = SphereStage(recipe=recipe, **stage).module()
    before = [p.detach().clone() for p in module.parameters()]
    learner = Learner(Parallel(module, ALONE, "ddp"), recipe, ALONE, torch.float32)
    queue = ReportQueue(CPU)
    options = loader_options(recipe, OPTIONS, ALONE)
    queue.put(learner.step(0, next(loader.training_batches(SphereSource(10), options, 0))))
    (metrics,) = queue.take(wait=True)
    return before, [p.detach() for p in module.parameters()], metrics


def test_a_step_is_torchs_adamw_on_the_weighted_mean_of_the_losses():
    recipe = replace(RECIPE, clip_norm=0.05, weight_decay=0.1, warmup_steps=0)
    _, after, metrics = one_step(recipe)

    module = SphereStage().module()
    losses = module(batch_of_step(0))
    loss = (losses.loss_B * losses.weight_B).sum() / losses.weight_B.sum()
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(module.parameters(), 0.05)
    torch.optim.AdamW(module.parameters(), lr=recipe.learning_rate, weight_decay=0.1).step()

    assert metrics.losses["loss"] == pytest.approx(loss.item(), rel=1e-6)
    assert metrics.gradient_norm == pytest.approx(norm.item(), rel=1e-5)
    assert metrics.clip_limit == pytest.approx(0.05)
    for mine, reference in zip(after, module.parameters(), strict=True):
        torch.testing.assert_close(mine, reference.detach(), rtol=0, atol=2e-6)


def test_micro_batches_do_not_change_the_gradient():
    in_one, in_four = (one_step(replace(RECIPE, micro_batch_tokens=size))[2] for size in (4.0, 1.0))
    assert in_one.gradient_norm == pytest.approx(in_four.gradient_norm, rel=1e-5)
    assert in_one.losses == pytest.approx(in_four.losses, rel=1e-6)


@pytest.mark.parametrize("gradient_alone", [False, True])
def test_a_step_that_is_not_finite_changes_no_weight(gradient_alone):
    before, after, metrics = one_step(RECIPE, spoil=samples_of_step(0), spoil_gradient=gradient_alone)
    assert math.isfinite(metrics.losses["loss"]) == gradient_alone
    assert metrics.skipped_in_a_row == 1
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_training_continues_after_a_step_that_is_not_finite(train):
    only_second = samples_of_step(1) - samples_of_step(0) - samples_of_step(2)
    train(recipe=replace(RECIPE, steps=3), spoil=only_second)
    lines = [line for line in read_metrics(train.folder() / "metrics.jsonl") if line["kind"] == "train"]
    assert [line["skipped"] for line in lines] == [0, 1, 0]
    assert "loss" not in lines[1] and lines[2]["loss"] > 0


def test_too_many_steps_that_are_not_finite_end_with_what_to_look_at(train):
    with pytest.raises(PipelineError, match=r"2 steps in a row.*velocity nan.*--precision fp32.*checkpoint: none"):
        train(options=replace(OPTIONS, max_skipped=2, every=4), spoil=frozenset(range(10)))


def test_the_limit_becomes_the_quantile_of_the_last_norms_when_the_window_is_full():
    clip = AdaptiveClip(max_norm=1.0, quantile=0.5, window=3, device=CPU)
    limits = []
    for norm in (0.1, 0.2, 0.3, 5.0, 7.0, float("nan"), 9.0):
        limits.append(round(clip.limit().item(), 4))
        clip.record(torch.tensor(norm), torch.tensor(norm).isfinite())
    assert limits == [1.0, 1.0, 1.0, 0.2, 0.3, 1.0, 1.0]
    assert sorted(clip.norms.tolist()) == [5.0, 7.0, 9.0]


def test_the_average_stands_in_for_the_weights_and_leaves_them_as_they_were():
    weights = [torch.tensor([0.0, 1.0])]
    ema = Ema(weights, decay=0.75)
    weights[0] += 1
    ema.update(weights, step=100)
    with ema.in_place_of(weights):
        assert weights[0].tolist() == [0.25, 1.25]
    assert weights[0].tolist() == [1.0, 2.0]
    assert ema.averages[0].tolist() == [0.25, 1.25]


def test_losses_are_logged_by_bin_of_t(train):
    train(recipe=replace(RECIPE, steps=1))
    training, validation = read_metrics(train.folder() / "metrics.jsonl")
    bins = {name for name in training if name.startswith("loss_t")}
    assert bins and bins <= {f"loss_t{b / 10:.1f}" for b in range(10)}
    assert validation["kind"] == "validation" and validation["power"] > 0
    assert (train.folder() / "curves.png").stat().st_size > 5000
    assert (train.folder() / "snapshots/step-00000001/sphere.png").exists()
