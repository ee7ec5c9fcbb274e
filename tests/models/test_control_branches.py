"""The completer and the texturer: how they start, how they learn, and the official bugs that they do not share."""

from dataclasses import replace

import pytest
import torch
from small_networks import (
    completer_inputs,
    completer_pair,
    structure_base,
    texturer_inputs,
    texturer_pair,
)
from torch import Tensor, nn

from models.alignment import alignment_per_item
from models.compat import MENDED, OFFICIAL
from models.completer import StructureCompleter
from models.structure_flow import FlowConfig


def completer_loss(branch, base) -> Tensor:
    x, t, cond, ratio = completer_inputs()
    v, align = branch.forward_with_alignment(x, t, cond, ratio, base)
    return (v - 1).square().mean() + 0.1 * align.mean()


def texturer_loss(branch, base) -> Tensor:
    x, t, cond, ratio = texturer_inputs()
    v, align = branch.forward_with_alignment(x, t, cond, ratio, base)
    return (v.feats - 1).square().mean() + 0.5 * align.mean()


def train(branch: nn.Module, base: nn.Module, loss, steps: int) -> set[str]:
    """Parameters that have received a gradient by the end."""
    optimiser = torch.optim.AdamW(branch.parameters(), lr=1e-3, weight_decay=0.0)
    reached: set[str] = set()
    for _ in range(steps):
        optimiser.zero_grad()
        loss(branch, base).backward()
        reached |= {n for n, p in branch.named_parameters() if p.grad is not None and bool(p.grad.any())}
        optimiser.step()
    return reached


PAIRS = pytest.mark.parametrize(
    ("make", "loss"), [(completer_pair, completer_loss), (texturer_pair, texturer_loss)], ids=["completer", "texturer"]
)


def velocity(branch, base) -> Tensor:
    if isinstance(branch, StructureCompleter):
        return branch(*completer_inputs(), base)
    return branch(*texturer_inputs(), base).feats


@PAIRS
def test_a_fresh_branch_changes_nothing_bit_for_bit(make, loss) -> None:
    branch, base = make()
    if make is completer_pair:
        x, t, cond, _ = completer_inputs()
        alone = base(x, t, cond.instance_masked_BMC)
    else:
        x, t, cond, _ = texturer_inputs()
        alone = base(x, t, cond.instance_masked_BTC).feats
    assert torch.equal(velocity(branch, base), alone)


@PAIRS
def test_every_trainable_parameter_receives_a_gradient_within_three_steps(make, loss) -> None:
    branch, base = make()
    names = {name for name, _ in branch.named_parameters()}
    assert names - train(branch, base, loss, steps=3) == set()


@PAIRS
def test_the_official_start_leaves_the_second_self_attention_without_gradient(make, loss) -> None:
    branch, base = make(OFFICIAL)
    unreached = {name for name, _ in branch.named_parameters()} - train(branch, base, loss, steps=3)
    second = {n for n in unreached if "_ratio.to_" in n or "adaLN_modulation_dpt" in n or "adaLN_modulation_vis" in n}
    assert any("to_out" in name for name in second)
    assert any("adaLN" in name for name in second)


def test_alpha_changes_the_completion_after_three_steps() -> None:
    branch, base = completer_pair()
    train(branch, base, completer_loss, steps=3)
    x, t, cond, ratio = completer_inputs()
    with torch.no_grad():
        change = branch(x, t, cond, ratio, base) - branch(x, t, cond, ratio * 0, base)
    assert change.abs().max() > 1e-6


def test_alpha_never_acts_with_the_official_start() -> None:
    branch, base = completer_pair(OFFICIAL)
    train(branch, base, completer_loss, steps=3)
    x, t, cond, ratio = completer_inputs()
    with torch.no_grad():
        assert torch.equal(branch(x, t, cond, ratio, base), branch(x, t, cond, ratio * 0, base))


@PAIRS
def test_a_frozen_base_collects_no_gradients_but_passes_them_on(make, loss) -> None:
    branch, base = make()
    train(branch, base, loss, steps=2)
    assert all(parameter.grad is None for parameter in base.parameters())
    assert branch.control_path[0].weight.grad.any()


def test_a_base_frozen_the_official_way_collects_gradients() -> None:
    branch, base = completer_pair(OFFICIAL)
    train(branch, base, completer_loss, steps=1)
    assert any(parameter.grad is not None for parameter in base.parameters())


def test_the_texturer_teaches_itself_nothing_through_its_teacher() -> None:
    x, t, cond, ratio = texturer_inputs()
    gradients = {}
    for compat in (MENDED, replace(MENDED, teacher_with_gradient=True)):
        branch, base = texturer_pair(compat)
        branch.forward_with_alignment(x, t, cond, ratio, base)[1].sum().backward()
        gradients[compat.teacher_with_gradient] = branch.input_layer.weight.grad
    assert not torch.allclose(gradients[False], gradients[True])


def test_the_texturer_infers_with_the_input_blocks_that_it_trained() -> None:
    x, t, cond, ratio = texturer_inputs()
    outputs = {}
    for compat in (MENDED, OFFICIAL):
        branch, base = texturer_pair(compat)
        with torch.no_grad():
            branch.control_path[0].weight.normal_()
            branch.input_blocks[0].conv1.conv.weight.normal_()
            trained = branch.forward_with_alignment(x, t, cond, ratio, base)[0].feats
            outputs[compat] = torch.equal(branch.eval()(x, t, cond, ratio, base).feats, trained)
    assert outputs == {MENDED: True, OFFICIAL: False}


def test_alignment_is_minus_one_when_the_student_equals_the_teacher() -> None:
    x = torch.randn(2, 5, 8)
    assert torch.allclose(alignment_per_item(x, 3 * x, None), torch.tensor([-1.0, -1.0]))
    assert torch.allclose(alignment_per_item(x.flatten(0, 1), x.flatten(0, 1), (4, 6)), torch.tensor([-1.0, -1.0]))


@PAIRS
def test_alignment_needs_the_clean_view_and_says_so(make, loss) -> None:
    branch, base = make()
    inputs = completer_inputs() if make is completer_pair else texturer_inputs()
    name = "clean_instance_BMC" if make is completer_pair else "clean_instance_BTC"
    blind = replace(inputs[2], **{name: None})
    with pytest.raises(ValueError, match="unoccluded render"):
        branch.forward_with_alignment(*inputs[:2], blind, inputs[3], base)


def test_a_branch_longer_than_its_base_is_refused() -> None:
    branch, _ = completer_pair()
    with pytest.raises(ValueError, match="2 control blocks"):
        branch.start_from(structure_base(num_blocks=1))


def test_scene_blocks_refuse_a_shared_modulation() -> None:
    config = completer_pair()[0].config
    shared = FlowConfig(**{**{f: getattr(config, f) for f in config.__dataclass_fields__}, "share_mod": True})
    with pytest.raises(ValueError, match="share_mod"):
        StructureCompleter(shared)
