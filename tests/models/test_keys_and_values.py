"""Cross-attention keys and values that are kept over the steps of a sampler, and guidance in one pass."""

import pytest
import torch
from small_networks import completer_inputs, completer_pair, randomised, texturer_inputs, texturer_pair

from models.layers.attention import CrossAttention
from models.layers.tokens import DenseTokens
from models.sparse.voxels import SparseTensor, VoxelSet


def twice(x: torch.Tensor) -> torch.Tensor:
    return torch.cat([x, x])


def test_keys_and_values_that_were_kept_change_nothing() -> None:
    for norm in (False, True):
        attention = randomised(CrossAttention(16, 12, 2, qk_rms_norm=norm))
        x, context, tokens = torch.randn(3, 5, 16), torch.randn(3, 7, 12), DenseTokens()
        expected = attention(x, context, tokens)
        torch.testing.assert_close(attention(x, attention.keys_values(context), tokens), expected, atol=0, rtol=0)


def test_items_without_a_context_attend_as_to_zeros() -> None:
    attention = randomised(CrossAttention(16, 12, 2, qk_rms_norm=True))
    x, context, tokens = torch.randn(4, 5, 16), torch.randn(2, 7, 12), DenseTokens()
    expected = attention(x, torch.cat([context, torch.zeros_like(context)]), tokens)
    torch.testing.assert_close(attention(x, attention.keys_values(context), tokens), expected)


def test_one_guided_pass_of_the_completer_equals_two() -> None:
    branch, base = completer_pair()
    randomised(branch)
    x, t, cond, ratio = completer_inputs()
    t, ratio = (value[:1].expand(2) for value in (t, ratio))
    prepared = branch.prepare(cond, base).with_negative()
    both = branch(twice(x), twice(t), prepared, twice(ratio), base)
    with_condition, without = branch(x, t, cond, ratio, base), branch(x, t, cond.zeroed(), ratio, base)
    torch.testing.assert_close(both, torch.cat([with_condition, without]), atol=1e-5, rtol=1e-5)


def test_one_guided_pass_of_the_texturer_equals_two() -> None:
    branch, base = texturer_pair()
    randomised(branch)
    x, t, cond, ratio = texturer_inputs()
    second = x.coords + x.coords.new_tensor([x.voxels.batch_size, 0, 0, 0])
    doubled = SparseTensor(twice(x.feats), VoxelSet(torch.cat([x.coords, second]), 2 * x.voxels.batch_size))
    prepared = branch.prepare(cond, base).with_negative()
    both = branch(doubled, twice(t), prepared, twice(ratio), base).feats
    with_condition, without = branch(x, t, cond, ratio, base), branch(x, t, cond.zeroed(), ratio, base)
    torch.testing.assert_close(both, torch.cat([with_condition.feats, without.feats]), atol=1e-5, rtol=1e-5)


def test_a_condition_of_another_batch_is_refused() -> None:
    branch, base = completer_pair()
    x, t, _, ratio = completer_inputs(batch=4)
    other = completer_inputs(batch=2)[2]
    with pytest.raises(ValueError, match="does not fit a batch of 4"):
        branch(x, t, other, ratio, base)
    attention = CrossAttention(16, 12, 2)
    with pytest.raises(ValueError, match="3 contexts do not fit 5"):
        attention(torch.randn(5, 5, 16), torch.randn(3, 7, 12), DenseTokens())
