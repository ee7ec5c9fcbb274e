"""Every SLAT stage: what it trains, that all of it learns, and what it leaves."""

from __future__ import annotations

import json
import math

import pytest
import torch

from models.checkpoints import write_network
from models.slat_vae import SLatEncoder
from models.sparse.voxels import SparseTensor
from pipelines.errors import PipelineError
from pipelines.latent_statistics import OFFICIAL_SLAT, SlatStatistics
from pipelines.train.stages.registry import missing_networks, stage_entry

NAMES = ("slat_vae", "slat_base", "gaussian_decoder", "mesh_decoder", "texturer")
STAGES = pytest.mark.parametrize("name", NAMES)
DECODERS = ("slat_vae", "gaussian_decoder", "mesh_decoder")
FLOWS = pytest.mark.parametrize("name", ("slat_base", "texturer"))
FRESH = {
    "slat_vae": ("slat_encoder", "gaussian_decoder"),
    "slat_base": ("slat_flow",),
    "gaussian_decoder": ("gaussian_decoder",),
}


def fresh(stage, name: str, **changes):
    """A stage whose own networks are not given."""
    made = stage(name, **changes)
    for network in FRESH.get(name, ()):
        made.context.weights.pop(network)
    return made


def quick(name: str) -> dict[str, object]:
    """Recipe changes: no perceptual distance, which costs most of a decoder's step; no dropped conditions."""
    return {"perceptual": None} if name in DECODERS else {"drop_condition": 0.0}


def optimise(module, batch, steps: int, learning_rate: float) -> tuple[list[float], set[str]]:
    """The loss at each step, and the parameters that a gradient has reached."""
    optimiser = torch.optim.AdamW(module.parameters(), lr=learning_rate, weight_decay=0.0)
    losses, reached = [], set()
    for _ in range(steps):
        optimiser.zero_grad()
        loss = module(batch).loss_B.mean()
        loss.backward()
        reached |= {name for name, p in module.named_parameters() if p.grad is not None and bool(p.grad.any())}
        optimiser.step()
        losses.append(loss.item())
    return losses, reached


@STAGES
def test_every_trained_parameter_receives_a_gradient_within_three_steps_and_no_frozen_one_does(stage, batch, name):
    made = fresh(stage, name, **quick(name))
    module = made.module()
    _, reached = optimise(module, batch(made, most_voxels=200), steps=3, learning_rate=1e-2)
    assert {name for name, _ in module.named_parameters()} - reached == set()
    frozen = [p for network in module.frozen() for p in network.parameters()]
    assert not any(p.requires_grad or p.grad is not None for p in frozen)


@STAGES
def test_the_loss_falls_on_two_samples(stage, batch, name):
    made = fresh(stage, name, **quick(name))
    losses, _ = optimise(made.module(), batch(made, most_voxels=100), steps=6, learning_rate=3e-3)
    assert losses[-1] < losses[0]


@STAGES
def test_losses_are_per_sample_and_do_not_depend_on_the_rest_of_the_batch(stage, batch, name):
    made = stage(name, **quick(name))
    module, pair, first = made.module(), batch(made, 2), batch(made, 1)
    together, alone = module(pair), module(first)
    torch.testing.assert_close(together.loss_B[:1], alone.loss_B, rtol=1e-3, atol=1e-4)
    assert together.weight_B.tolist() == [1.0] * 2
    assert all(term.shape == (2,) for term in together.terms.values())


@STAGES
def test_a_stage_goes_on_from_the_networks_that_it_leaves(stage, batch, name, tmp_path):
    made = fresh(stage, name, **quick(name))
    optimise(made.module(), batch(made, 1), steps=1, learning_rate=1e-2)
    given = {}
    for network_name, network in made.networks().items():
        write_network(network, tmp_path / network_name)
        given[network_name] = tmp_path / network_name
    assert tuple(given) == stage_entry(name).makes
    before = dict(made.module().named_parameters())
    for key, value in stage(name, given=given).module().named_parameters():
        assert torch.equal(value, before[key]), key


@STAGES
def test_measures_have_a_value_for_every_sample_and_pictures_are_written(stage, batch, name, tmp_path):
    made = stage(name)
    samples = batch(made, 2)
    measured = made.measure(made.module().eval(), [samples])
    assert measured and all(len(values) == 2 for values in measured.values())
    assert all(math.isfinite(value) for values in measured.values() for value in values)
    (picture,) = made.snapshot(made.module(), samples, tmp_path)
    assert picture.suffix == ".png" and picture.stat().st_size > 1000


@STAGES
def test_a_description_is_json_and_names_the_weights_that_are_used(stage, name):
    described = json.loads(json.dumps(stage(name).describe()))
    assert set(described["weights"]) <= set(stage_entry(name).needs + stage_entry(name).starts_from)
    if name in ("slat_base", "texturer"):
        assert described["slat_normalization"]["std"] == [0.5] * 8


def test_the_networks_of_one_stage_are_what_the_next_ones_need():
    made = set()
    for name in ("slat_vae", "slat_base", "gaussian_decoder", "mesh_decoder", "texturer"):
        assert not missing_networks(name, dict.fromkeys(made, "somewhere"))
        made |= set(stage_entry(name).makes)


@STAGES
def test_half_precision_changes_a_loss_by_little(stage, batch, name):
    """Geometry, statistics of pictures and heads stay in float32 under autocast."""
    made = stage(name, **quick(name))
    module, samples = made.module(), batch(made, 1)
    with torch.no_grad():
        full = module(samples)
        with torch.autocast("cpu", torch.bfloat16):
            half = module(samples)
    torch.testing.assert_close(half.loss_B, full.loss_B, rtol=0.03, atol=1e-3)


# Latents: stored or encoded, and their statistics.


@pytest.mark.parametrize("name", ["slat_base", "texturer", "mesh_decoder", "gaussian_decoder"])
def test_latents_are_taken_from_a_table_or_encoded_now(stage, batch, name):
    """Stored latents of another encoder give another loss, so they are what is used."""
    encoded, stored = (stage(name, latents=table, **quick(name)) for table in (None, "tiny"))
    samples = {of: batch(of, 1) for of in (encoded, stored)}
    assert samples[encoded].slat_N8 is None and samples[stored].slat_N8 is not None
    losses = [float(of.module()(samples[of]).loss_B.detach()) for of in samples]
    assert all(math.isfinite(loss) for loss in losses) and losses[0] != losses[1]


def test_the_vae_measures_the_statistics_that_the_flows_normalise_with(stage, batch):
    vae = stage("slat_vae")
    module, batches = vae.module(), [batch(vae, 2), batch(vae, 1)]
    facts = json.loads(json.dumps(vae.facts(module, batches)))
    flow = stage("slat_base", facts={"slat_vae": facts})
    latents = []
    with torch.no_grad():
        for of in batches:
            latents.append(module.encoder(SparseTensor(of.feats_NC.float(), of.voxels))[0])
    normalised = flow.module().codec.statistics.normalise(torch.cat(latents))
    torch.testing.assert_close(normalised.mean(0), torch.zeros(8), atol=1e-4, rtol=0)
    torch.testing.assert_close(normalised.std(0, correction=0), torch.ones(8), atol=1e-3, rtol=0)


def test_statistics_are_never_guessed(stage):
    with pytest.raises(PipelineError, match="slat_vae"):
        stage("slat_base", facts={}).module()


def test_normalising_is_undone_by_restoring():
    latent = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(OFFICIAL_SLAT.restore(OFFICIAL_SLAT.normalise(latent)), latent)
    assert SlatStatistics.from_json(json.loads(json.dumps(OFFICIAL_SLAT.to_json()))) == OFFICIAL_SLAT


def test_the_gaussian_decoder_sees_draws_of_the_posterior(stage, batch):
    made = stage("gaussian_decoder", **quick("gaussian_decoder"))
    samples, module = batch(made, 1), made.module()
    (encoder,) = module._encoder
    assert isinstance(encoder, SLatEncoder)
    voxels = samples.voxels
    with torch.no_grad():
        mean, log_variance = encoder(SparseTensor(samples.feats_NC.float(), voxels))
    drawn = module._sampled_latent(samples, voxels)
    torch.testing.assert_close(drawn, mean + (0.5 * log_variance).exp() * samples.noise_N8)


# The texturer.


def test_a_fresh_texturer_predicts_what_the_base_alone_predicts(stage, batch):
    made = stage("texturer")
    module, samples = made.module(), batch(made)
    (base,), voxels, seen = module._base, samples.voxels, module.observe(samples)
    x, t_B = SparseTensor(samples.noise_N8, voxels), torch.tensor([900.0, 300.0])
    with torch.no_grad():
        steered = module.branch(x, t_B, seen.cond, 1000 * seen.visible_B, base)
        assert torch.equal(steered.feats, base(x, t_B, seen.cond.instance_masked_BTC).feats)


def test_alignment_teaches_the_texturer_and_not_its_teacher(stage, batch):
    made = stage("texturer", drop_condition=0.0)
    module, samples = made.module(), batch(made)
    module(samples).terms["alignment"].mean().backward()
    assert module.branch.control_path[0].weight.grad.any()
    assert all(p.grad is None for p in module._base[0].parameters())


def test_a_dropped_condition_leaves_nothing_of_the_image(stage, batch):
    """Also not in the voxels; the share of visible voxels is kept."""
    made = stage("texturer", drop_condition=1.0, alignment_weight=0.0)
    module, samples = made.module(), batch(made)
    seen = []
    module.branch.register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
    module(samples)
    (inputs,) = seen
    cond, ratio_B = inputs[2], inputs[3]
    present = [value for value in vars(cond).values() if value is not None]
    assert len(present) == 4 and not any(value.any() for value in present)
    assert ratio_B.all()


@FLOWS
def test_sampling_starts_from_the_noise_of_the_batch(stage, batch, name):
    made = stage(name)
    samples, module = batch(made, 1), made.module()
    voxels = samples.voxels
    torch.testing.assert_close(module.generate(samples, voxels), module.generate(samples, voxels), rtol=0, atol=0)
