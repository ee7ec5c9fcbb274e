"""Sparse operators against dense or one-by-one ways to compute the same."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import random_voxels

from models.sparse.conv import SparseConv3d, reference_conv
from models.sparse.norm import SparseGroupNorm32
from models.sparse.resample import downsample, subdivide, upsample
from models.sparse.voxels import SparseTensor, VoxelSet


def dense_conv(x: SparseTensor, weight, bias, edge: int):
    """Zero-padded conv3d on the whole grid, read at the occupied voxels."""
    b, *xyz = x.coords.long().unbind(1)
    grid = x.feats.new_zeros(x.voxels.batch_size, edge, edge, edge, x.feats.shape[1])
    grid[b, xyz[0], xyz[1], xyz[2]] = x.feats
    out = F.conv3d(grid.movedim(-1, 1), weight.permute(0, 4, 1, 2, 3), bias, padding=1)
    return out.movedim(1, -1)[b, xyz[0], xyz[1], xyz[2]]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), lengths=st.lists(st.integers(0, 80), min_size=1, max_size=3))
def test_submanifold_convolution_and_its_gradients_equal_a_dense_convolution(seed, lengths) -> None:
    voxels = random_voxels(tuple(lengths), edge=6, seed=seed)
    torch.manual_seed(seed)
    arguments = (
        torch.randn(len(voxels), 3, dtype=torch.double),
        torch.randn(4, 3, 3, 3, 3, dtype=torch.double),
        torch.randn(4, dtype=torch.double),
    )
    outputs, gradients = [], []
    for conv in (
        lambda f, w, b: reference_conv(f, w, b, voxels),
        lambda f, w, b: dense_conv(SparseTensor(f, voxels), w, b, 6),
    ):
        leaves = [argument.clone().requires_grad_() for argument in arguments]
        outputs.append(conv(*leaves))
        outputs[-1].square().sum().backward()
        gradients.append([leaf.grad for leaf in leaves])
    torch.testing.assert_close(*outputs)
    torch.testing.assert_close(*gradients)


def test_networks_of_one_voxel_set_search_for_neighbours_once() -> None:
    voxels = random_voxels()
    x = SparseTensor(torch.randn(len(voxels), 4), voxels)
    SparseConv3d(4, 4, 3)(x)
    first = voxels.backend_cache["neighbours"]
    SparseConv3d(4, 8, 3)(x)
    assert voxels.backend_cache["neighbours"] is first


def test_downsampling_divides_by_one_more_than_the_number_of_children() -> None:
    x = SparseTensor.from_coords(
        torch.tensor([[2.0], [4.0], [6.0]]), torch.tensor([[0, 0, 0, 1], [0, 1, 1, 1], [0, 2, 0, 0]])
    )
    coarse = downsample(x)
    assert coarse.coords.tolist() == [[0, 0, 0, 0], [0, 1, 0, 0]]
    assert coarse.feats.flatten().tolist() == [2.0, 3.0]
    assert upsample(coarse, x.voxels).feats.flatten().tolist() == [2.0, 2.0, 3.0]


def test_upsampling_to_voxels_that_it_did_not_come_from_is_an_error() -> None:
    x = SparseTensor(torch.randn(105, 2), random_voxels())
    with pytest.raises(ValueError, match="undoes a downsampling"):
        upsample(downsample(x), random_voxels(seed=5))


def test_two_levels_of_resampling_return_to_the_original_rows() -> None:
    x = SparseTensor(torch.randn(105, 2), random_voxels())
    middle = downsample(x)
    back = upsample(upsample(downsample(middle), middle.voxels), x.voxels)
    assert torch.equal(back.coords, x.coords)


def test_subdividing_makes_eight_equal_children_that_downsample_to_their_parent() -> None:
    x = SparseTensor(torch.randn(105, 2), random_voxels())
    order = x.voxels.finer.coarser.parent_N[::8]  # coarse rows are sorted, parents are not
    torch.testing.assert_close(downsample(subdivide(x)).feats[order], x.feats * 8 / 9)


def naive_attention(q, k, v, lengths):
    pieces = zip(q.split(lengths), k.split(lengths), v.split(lengths), strict=True)
    heads_first = [[x.transpose(0, 1) for x in piece] for piece in pieces if len(piece[0])]
    weights = [(q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ v for q, k, v in heads_first]
    return torch.cat([w.transpose(0, 1) for w in weights])


@settings(max_examples=15, deadline=None)
@given(lengths=st.lists(st.integers(0, 70), min_size=1, max_size=6).filter(sum), seed=st.integers(0, 10**6))
def test_attention_in_segments_equals_one_softmax_per_segment(lengths, seed) -> None:
    voxels = random_voxels(tuple(lengths), seed=seed)
    q, k, v = torch.randn(3, len(voxels), 2, 8, dtype=torch.double).unbind()
    ours = voxels.items.plan("bucketed", q.dtype).self_attention(q, k, v)
    torch.testing.assert_close(ours, naive_attention(q, k, v, voxels.lengths))


@settings(max_examples=10, deadline=None)
@given(window=st.integers(1, 9), shift=st.integers(0, 5), seed=st.integers(0, 10**6))
def test_windowed_attention_looks_at_voxels_of_the_same_window_only(window, shift, seed) -> None:
    voxels = random_voxels(seed=seed)
    q, k, v = torch.randn(3, len(voxels), 2, 4, dtype=torch.double).unbind()
    cell = torch.cat([voxels.coords_N4[:, :1], (voxels.coords_N4[:, 1:] + shift) // window], dim=1)
    same = (cell[:, None] == cell[None]).all(-1)
    scores = torch.einsum("ihd,jhd->hij", q, k) / 2.0
    expected = torch.einsum("hij,jhd->ihd", scores.masked_fill(~same, -torch.inf).softmax(-1), v)
    torch.testing.assert_close(
        voxels.windows(window, shift).plan("bucketed", q.dtype).self_attention(q, k, v), expected
    )


def test_cross_attention_pairs_every_item_with_its_own_context() -> None:
    voxels = random_voxels((7, 0, 4))
    q = torch.randn(11, 2, 4, dtype=torch.double)
    k, v = torch.randn(2, 3, 5, 2, 4, dtype=torch.double).unbind()
    ours = voxels.items.plan("bucketed", q.dtype).cross_attention(q, k, v)
    per_row = torch.einsum("ihd,imhd->ihm", q, k[voxels.batch_N]) / 2.0
    torch.testing.assert_close(ours, torch.einsum("ihm,imhd->ihd", per_row.softmax(-1), v[voxels.batch_N]))


def test_group_norm_treats_every_item_on_its_own() -> None:
    voxels = random_voxels((30, 12))
    norm = SparseGroupNorm32(4, 16)
    feats = torch.randn(42, 16)
    ours = norm(SparseTensor(feats, voxels)).feats
    alone = [F.group_norm(part.T[None], 4, eps=norm.eps)[0].T for part in feats.split((30, 12))]
    torch.testing.assert_close(ours, torch.cat(alone))


def test_rows_out_of_batch_order_are_refused() -> None:
    with pytest.raises(ValueError, match="contiguous"):
        VoxelSet(torch.tensor([[1, 0, 0, 0], [0, 0, 0, 0]]))


def test_a_batch_item_beyond_the_batch_size_is_refused() -> None:
    with pytest.raises(ValueError, match="batch_size is 1"):
        VoxelSet(torch.tensor([[0, 0, 0, 0], [1, 0, 0, 0]]), batch_size=1)


def test_spreading_over_items_has_the_gradient_of_a_sum() -> None:
    voxels = random_voxels((3, 0, 2))
    x = torch.randn(3, 4, requires_grad=True)
    assert torch.equal(voxels.spread(x), x[voxels.batch_N])
    voxels.spread(x).sum().backward()
    assert x.grad[:, 0].tolist() == [3.0, 0.0, 2.0]
