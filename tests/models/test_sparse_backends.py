"""Convolution and attention backends: spconv against the reference, and what happens when one cannot run."""

import importlib.util

import pytest
import torch
from small_networks import random_voxels, slat_base, texturer_inputs

from models.execution import Execution
from models.sparse.conv import SparseConv3d, pointwise_conv, reference_conv
from models.sparse.resample import downsample, subdivide
from models.sparse.voxels import SparseTensor

needs_spconv = pytest.mark.skipif(importlib.util.find_spec("spconv") is None, reason="spconv is not installed")


def pair_of_convs(in_channels: int, out_channels: int, kernel: int) -> tuple[SparseConv3d, SparseConv3d]:
    ours = SparseConv3d(in_channels, out_channels, kernel, "reference")
    theirs = SparseConv3d(in_channels, out_channels, kernel, "spconv")
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


@needs_spconv
@pytest.mark.parametrize("lengths", [(200,), (90, 1, 140)])
@torch.no_grad()
def test_spconv_equals_the_reference(lengths) -> None:
    torch.manual_seed(0)
    x = SparseTensor(torch.randn(sum(lengths), 16), random_voxels(lengths, edge=9))
    ours, theirs = pair_of_convs(16, 24, 3)
    torch.testing.assert_close(theirs(x).feats, ours(x).feats, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(theirs(x).feats, ours(x).feats, rtol=1e-5, atol=1e-5)  # with its cached index pairs


@needs_spconv
@torch.no_grad()
def test_spconv_multiplies_the_1x1x1_weight_reshaped_and_so_do_we() -> None:
    import spconv.pytorch as spconv

    torch.manual_seed(0)
    x = SparseTensor(torch.randn(50, 6), random_voxels((50,)))
    layer = spconv.SubMConv3d(6, 10, 1)
    sparse = spconv.SparseConvTensor(x.feats, x.coords, [16] * 3, 1)
    ours = pointwise_conv(x.feats, layer.weight, layer.bias, x.voxels)
    torch.testing.assert_close(layer(sparse).features, ours)
    assert not torch.allclose(ours, x.feats @ layer.weight.reshape(10, 6).T + layer.bias)


@needs_spconv
@torch.no_grad()
def test_spconv_agrees_on_levels_made_by_our_downsampling_and_subdivision() -> None:
    torch.manual_seed(0)
    x = SparseTensor(torch.randn(150, 4), random_voxels((90, 60), edge=8))
    ours, theirs = pair_of_convs(4, 5, 3)
    for level in (downsample(x), subdivide(x)):
        torch.testing.assert_close(theirs(level).feats, ours(level).feats, rtol=1e-5, atol=1e-5)


@needs_spconv
@torch.no_grad()
def test_a_whole_network_gives_the_same_on_spconv() -> None:
    x, t, cond, _ = texturer_inputs()
    ours, theirs = (slat_base(execution=Execution(sparse_conv=backend)) for backend in ("reference", "spconv"))
    theirs.load_state_dict(ours.state_dict())
    outputs = [network(x, t, cond.scene_BTC).feats for network in (ours, theirs)]
    torch.testing.assert_close(*outputs, rtol=1e-4, atol=1e-4)


@needs_spconv
def test_spconv_on_several_cpu_threads_is_refused_because_it_races() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(ValueError, match="more than one thread"):
            pair_of_convs(4, 4, 3)[1](SparseTensor(torch.randn(105, 4), random_voxels()))
    finally:
        torch.set_num_threads(before)


@needs_spconv
def test_training_with_spconv_on_the_cpu_is_refused_because_it_has_no_backward() -> None:
    with pytest.raises(ValueError, match="no backward pass"):
        pair_of_convs(4, 4, 3)[1](SparseTensor(torch.randn(105, 4), random_voxels()))


@needs_spconv
@torch.no_grad()
def test_half_precision_is_computed_and_returned() -> None:
    x = SparseTensor(torch.randn(105, 8).bfloat16(), random_voxels())
    ours, theirs = (conv.bfloat16()(x).feats for conv in pair_of_convs(8, 8, 3))
    assert ours.dtype == theirs.dtype == torch.bfloat16
    torch.testing.assert_close(ours, theirs, rtol=2e-2, atol=2e-2)


def test_a_backend_that_is_not_installed_is_an_error(monkeypatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="spconv"):
        SparseConv3d(4, 4, 3, "spconv")


def test_an_unknown_backend_is_an_error() -> None:
    with pytest.raises(ValueError, match="unknown sparse convolution backend"):
        SparseConv3d(4, 4, 3, "flex")


def test_a_kernel_that_no_network_has_is_an_error() -> None:
    with pytest.raises(ValueError, match="kernels of 1 and 3"):
        SparseConv3d(4, 4, 5)


def test_varlen_attention_on_the_cpu_is_an_error_and_not_a_slow_detour() -> None:
    with pytest.raises(ValueError, match="varlen"):
        random_voxels().items.plan("varlen", torch.bfloat16)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_varlen_attention_equals_bucketed_attention_on_cuda(dtype) -> None:
    voxels = random_voxels((300, 1, 77))
    on_cuda = type(voxels)(voxels.coords_N4.cuda(), voxels.batch_size)
    q, k, v = torch.randn(3, len(voxels), 4, 64, device="cuda", dtype=dtype).unbind()
    for segments in (on_cuda.items, on_cuda.windows(8, 4)):
        leaves = [[x.clone().requires_grad_() for x in (q, k, v)] for _ in range(2)]
        outputs = [
            segments.plan(name, dtype).self_attention(*leaf)
            for leaf, name in zip(leaves, ("varlen", "bucketed"), strict=True)
        ]
        for out in outputs:
            out.float().square().sum().backward()
        torch.testing.assert_close(*outputs, rtol=2e-2, atol=2e-2)
        torch.testing.assert_close([x.grad for x in leaves[0]], [x.grad for x in leaves[1]], rtol=5e-2, atol=5e-2)
    context = torch.randn(2, 3, 40, 4, 64, device="cuda", dtype=dtype).unbind()
    crossed = [on_cuda.items.plan(name, dtype).cross_attention(q, *context) for name in ("varlen", "bucketed")]
    torch.testing.assert_close(*crossed, rtol=2e-2, atol=2e-2)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_spconv_and_its_gradients_equal_the_reference_on_cuda(dtype) -> None:
    from models.sparse.spconv_backend import spconv_conv

    voxels = random_voxels((2000, 900), edge=20)
    on_cuda = type(voxels)(voxels.coords_N4.cuda(), voxels.batch_size)
    torch.manual_seed(0)
    arguments = [torch.randn(2900, 32), torch.randn(64, 3, 3, 3, 32) * 0.05, torch.randn(64)]
    results = []
    for conv in (spconv_conv, reference_conv):
        leaves = [argument.cuda().to(dtype).requires_grad_() for argument in arguments]
        out = conv(*leaves, on_cuda)
        out.float().square().mean().backward()
        results.append([out, *(leaf.grad for leaf in leaves)])
    tolerance = 1e-4 if dtype == torch.float32 else 3e-2
    torch.testing.assert_close(*results, rtol=tolerance, atol=tolerance)
