"""Every structure stage: what it trains, that all of it learns, and what it leaves."""

from __future__ import annotations

import json

import pytest
import torch

from models.checkpoints import write_network
from pipelines.errors import PipelineError, UsageError
from pipelines.train.data.options import NO_AUGMENTATION, Augmentation
from pipelines.train.settings.recipes import FlowRecipe, recipe
from pipelines.train.stages.registry import make_stage, missing_networks, stage_entry
from pipelines.train.stages.structure_vae import cropped

NAMES = ("structure_vae", "structure_base", "object", "coarse", "fine")
STAGES = pytest.mark.parametrize("name", NAMES)
COMPLETERS = pytest.mark.parametrize("name", ("object", "coarse", "fine"))
FRESH = {"structure_vae": ("structure_encoder", "structure_decoder"), "structure_base": ("structure_flow",)}


def fresh(stage, name: str, **changes):
    """A stage whose own networks are not given."""
    made = stage(name, **changes)
    for network in FRESH.get(name, ()):
        made.context.weights.pop(network)
    return made


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
    made = fresh(stage, name, drop_condition=0.0) if name != "structure_vae" else fresh(stage, name)
    module = made.module()
    _, reached = optimise(module, batch(made), steps=3, learning_rate=1e-2)
    assert {name for name, _ in module.named_parameters()} - reached == set()
    frozen = [p for network in module.frozen() for p in network.parameters()]
    assert not any(p.requires_grad or p.grad is not None for p in frozen)


@STAGES
def test_the_loss_falls_on_two_samples(stage, batch, name):
    made = stage(name)
    losses, _ = optimise(made.module(), batch(made), steps=8, learning_rate=3e-3)
    assert losses[-1] < losses[0]


@STAGES
def test_losses_are_per_sample_and_do_not_depend_on_the_rest_of_the_batch(stage, batch, name):
    made = stage(name)
    source, module = made.source("train"), made.module()
    samples = [source.load(index, epoch=0) for index in range(3)]
    together = module(source.collate(samples))
    alone = torch.cat([module(source.collate([sample])).loss_B for sample in samples])
    torch.testing.assert_close(together.loss_B, alone, rtol=1e-4, atol=1e-5)
    assert together.weight_B.tolist() == [1.0] * 3
    assert all(term.shape == (3,) for term in together.terms.values())


@STAGES
def test_a_stage_goes_on_from_the_networks_that_it_leaves(stage, batch, name, tmp_path):
    made = fresh(stage, name)
    optimise(made.module(), batch(made), steps=1, learning_rate=1e-2)
    given = {}
    for network_name, network in made.networks().items():
        write_network(network, tmp_path / network_name)
        given[network_name] = tmp_path / network_name
    assert tuple(given) == stage_entry(name).makes
    before = dict(made.module().named_parameters())
    for key, value in stage(name, given=given).module().named_parameters():
        assert torch.equal(value, before[key]), key


@STAGES
def test_initial_weights_follow_from_the_seed(stage, name):
    first, second = (dict(fresh(stage, name).module().named_parameters()) for _ in range(2))
    assert all(torch.equal(value, second[key]) for key, value in first.items())


@STAGES
def test_measures_have_a_value_for_every_sample_and_pictures_are_written(stage, batch, name, tmp_path):
    made = stage(name)
    measured = made.measure(made.module(), [batch(made, 2), batch(made, 1)])
    assert len(measured["iou"]) == len(measured["chamfer"]) == 3
    assert all(0 <= value <= 1 for value in measured["iou"])
    (picture,) = made.snapshot(made.module(), batch(made, 2), tmp_path)
    assert picture.suffix == ".png"
    assert picture.stat().st_size > 1000


@STAGES
def test_a_description_is_json_and_changes_with_the_weights_that_are_used(stage, name, weights):
    described = json.loads(json.dumps(stage(name).describe()))
    assert described == json.loads(json.dumps(stage(name).describe()))
    assert set(described["weights"]) <= set(weights)
    assert described["encoders"]["name"] == "efficientnet_lite0"
    assert "sampler" not in described["recipe"]


@COMPLETERS
def test_a_fresh_completer_predicts_what_the_base_alone_predicts(stage, batch, name):
    made = stage(name, drop_condition=0.0, alignment_weight=0.0)
    module, samples = made.module(), batch(made)
    (base,) = module._base
    seen = []
    base.register_forward_hook(lambda *_: seen.append("whole"))  # the branch calls its blocks, not the whole
    cond = module.condition(samples)
    x, t = samples.noise, torch.tensor([900.0, 300.0])
    with torch.no_grad():
        steered = module.branch(x, t, cond, 1000 * samples.depth_ratio_B, base)
        assert torch.equal(steered, base(x, t, cond.instance_masked_BMC))
    assert seen == ["whole"]


def test_alignment_teaches_the_branch_and_not_its_teacher(stage, batch):
    made = stage("fine", drop_condition=0.0)
    module, samples = made.module(), batch(made)
    module(samples).terms["alignment"].mean().backward()
    assert module.branch.control_path[0].weight.grad.any()
    assert all(p.grad is None for p in module._base[0].parameters())


def test_without_alignment_no_clean_view_is_asked_for(stage):
    sample = stage("coarse", alignment_weight=0.0).source("train").load(0, epoch=0)
    assert sample.images.clean_3SS is None


def test_the_fine_stage_aligns_five_times_as_much_as_the_coarse_one(stage, batch):
    for name, weight in (("coarse", 0.1), ("fine", 0.5)):
        made = stage(name)
        losses = made.module()(batch(made))
        total = losses.terms["velocity"] + weight * losses.terms["alignment"]
        torch.testing.assert_close(losses.loss_B, total)


def test_alpha_reaches_the_network_even_where_the_condition_is_dropped(stage, batch, monkeypatch):
    made = stage("coarse", drop_condition=1.0)
    module, samples = made.module(), batch(made)
    seen = {}

    def watch(x, t, cond, ratio, base):
        seen.update(cond=cond, ratio=ratio)
        return x, x.new_zeros(len(x))

    monkeypatch.setattr(module.branch, "forward_with_alignment", watch)
    module(samples)
    assert all(not value.any() for value in vars(seen["cond"]).values())
    assert torch.equal(seen["ratio"], 1000 * samples.depth_ratio_B)


def test_completers_grow_from_object_pretraining_where_it_is_there(stage, tmp_path):
    pretrained = stage("object")
    with torch.no_grad():
        pretrained.module().branch.control_path[0].bias += 1
    write_network(pretrained.module().branch, tmp_path / "object_completer")
    grown = stage("coarse", given={"object_completer": tmp_path / "object_completer"}).module().branch
    assert torch.equal(grown.control_path[0].bias, torch.ones(32))


def test_missing_weights_are_named_with_what_to_do(stage):
    made = stage("coarse")
    made.context.weights.pop("structure_flow")
    assert missing_networks("coarse", made.context.weights) == ["structure_flow"]
    with pytest.raises(PipelineError, match=r"structure_flow.*--init"):
        made.module()


def test_networks_of_another_size_are_refused_with_the_difference(stage, sizes, tmp_path):
    from dataclasses import replace

    from models.structure_flow import SparseStructureFlow

    write_network(SparseStructureFlow(replace(sizes.structure_flow, num_blocks=1)), tmp_path / "other")
    with pytest.raises(PipelineError, match="num_blocks: 1 -> 3"):
        stage("coarse", given={"structure_flow": tmp_path / "other"}).module()


def test_a_recipe_of_another_kind_is_refused(stage):
    context = stage("coarse").context
    with pytest.raises(UsageError, match="StructureVaeRecipe"):
        make_stage("structure_vae", context)
    assert isinstance(recipe("coarse", "tiny"), FlowRecipe)


def test_crops_are_cut_around_occupied_voxels_with_the_noise_of_the_same_cells():
    generator = torch.Generator().manual_seed(0)
    occupancy = (torch.rand(4, 1, 64, 64, 64, generator=generator) > 0.9999).float()
    where = torch.arange(16.0**3).view(1, 1, 16, 16, 16).expand(4, 1, -1, -1, -1)  # a value that tells the cell
    pick = torch.rand(4, generator=generator)
    voxels, cells = cropped(occupancy, where, pick, edge=32)
    for b in range(4):
        assert voxels[b].any()
        first = int(cells[b].min())
        low = [4 * axis for axis in (first // 256, first // 16 % 16, first % 16)]
        assert torch.equal(voxels[b, 0], occupancy[b, 0][tuple(slice(x, x + 32) for x in low)])


def test_a_vae_that_is_trained_on_crops_is_validated_on_whole_grids(stage, batch):
    made = stage("structure_vae", crop=32)
    module, samples = made.module(), batch(made)
    seen = []
    module.encoder.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape[-1]))
    module.train()(samples)
    module.eval()(samples)
    assert seen == [32, 64]


def test_a_recipe_decides_how_samples_are_varied_where_it_says_so(stage):
    assert stage("coarse", augmentation=NO_AUGMENTATION).context.data.augmentation == NO_AUGMENTATION
    assert stage("coarse", augmentation=None).context.data.augmentation == Augmentation()
