"""bf16 autocast, torch.compile and activation checkpointing leave the results alone."""

import pytest
import torch
from small_networks import completer_inputs, completer_pair, slat_base, structure_base, texturer_inputs, texturer_pair
from torch.utils.flop_counter import FlopCounterMode
from varlen_on_cpu import use_varlen_on_cpu

from models.execution import Execution, compile_blocks
from models.layers.norms import LayerNorm32, Linear32, MultiHeadRMSNorm
from models.sparse.voxels import SparseTensor

CHECKPOINTED = Execution(recompute="blocks")


def run_completer(execution: Execution, compiled: bool = False):
    branch, base = completer_pair(execution=execution)
    with torch.no_grad():
        branch.control_path[0].weight.fill_(0.01)
    if compiled:
        torch.compiler.reset()
        for network in (branch, base):
            compile_blocks(network, backend="aot_eager")
    return branch, branch(*completer_inputs(), base)


def run_texturer(execution: Execution, compiled: bool = False):
    branch, base = texturer_pair(execution=execution)
    with torch.no_grad():
        branch.control_path[0].weight.fill_(0.01)
    if compiled:
        torch.compiler.reset()
        for network in (branch, base):
            compile_blocks(network, backend="aot_eager")
    return branch, branch(*texturer_inputs(), base).feats


RUNS = pytest.mark.parametrize("run", [run_completer, run_texturer], ids=["dense", "sparse"])


@pytest.mark.parametrize(
    ("run", "recompute"), [(run_completer, "cheap"), (run_texturer, "nothing")], ids=["dense", "sparse"]
)
def test_blocks_compile_to_one_graph_each_and_compute_the_same(run, recompute, monkeypatch) -> None:
    use_varlen_on_cpu(monkeypatch)
    (plain, expected), (compiled, v) = run(Execution()), run(Execution(recompute=recompute), compiled=True)
    torch.testing.assert_close(v, expected, rtol=1e-4, atol=1e-5)
    expected.sum().backward()
    v.sum().backward()
    for (name, ours), theirs in zip(compiled.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-4, msg=name)


def test_compiling_keeps_the_keys_of_the_state_dict() -> None:
    network = structure_base()
    before = list(network.state_dict())
    compile_blocks(network, backend="eager")
    assert list(network.state_dict()) == before


@RUNS
@pytest.mark.parametrize("recompute", ["cheap", "blocks"])
def test_activation_checkpointing_changes_memory_and_not_gradients(run, recompute) -> None:
    (plain, expected), (checkpointed, v) = run(Execution()), run(Execution(recompute=recompute))
    assert torch.equal(v, expected)
    expected.sum().backward()
    v.sum().backward()
    gradients = zip(checkpointed.parameters(), plain.parameters(), strict=True)
    assert all((a.grad is None and b.grad is None) or torch.equal(a.grad, b.grad) for a, b in gradients)


def saved_bytes(execution: Execution) -> int:
    sizes: dict[int, int] = {}

    def remember(x):
        sizes[x.data_ptr()] = x.numel() * x.element_size()
        return x

    with torch.autograd.graph.saved_tensors_hooks(remember, lambda x: x):
        structure_base(execution=execution)(*completer_inputs()[:2], completer_inputs()[2].scene_BMC)
    return sum(sizes.values())


def test_activation_checkpointing_stores_less() -> None:
    assert saved_bytes(CHECKPOINTED) < 0.5 * saved_bytes(Execution())


def test_what_is_cheap_to_recompute_has_no_matrix_product() -> None:
    operations = []
    for recompute in ("nothing", "cheap", "blocks"):
        with FlopCounterMode(display=False) as counter:
            run_completer(Execution(recompute=recompute))[1].sum().backward()
        operations.append(counter.get_total_flops())
    assert operations[0] == operations[1] < operations[2]


@RUNS
def test_bf16_autocast_is_close_to_float32_and_returns_float32(run) -> None:
    _, expected = run(Execution())
    with torch.autocast("cpu", torch.bfloat16):
        _, v = run(Execution())
    assert v.dtype == torch.float32
    error = (v - expected).square().mean().sqrt() / expected.square().mean().sqrt()
    assert 1e-5 < error < 0.05


def test_norms_and_heads_compute_in_float32_under_autocast() -> None:
    x = torch.randn(4, 64) * 100 + 1000  # bf16 would lose the variance beside this mean
    head, norm, rms = Linear32(64, 8), LayerNorm32(64, affine=True), MultiHeadRMSNorm(2, 32)
    per_head = x.unflatten(1, (2, 32))
    expected = [head(x), norm(x), rms(per_head)]
    with torch.autocast("cpu", torch.bfloat16):
        found = [head(x), norm(x), rms(per_head)]
    assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))
    halved = norm(x.bfloat16())
    assert halved.dtype == torch.bfloat16
    torch.testing.assert_close(halved, norm(x.bfloat16().float()).bfloat16())


def test_linears_of_the_blocks_do_run_in_bf16_under_autocast() -> None:
    network, seen = structure_base(), []
    network.blocks[0].self_attn.to_qkv.register_forward_hook(lambda _m, _i, out: seen.append(out.dtype))
    x, t, cond, _ = completer_inputs()
    with torch.autocast("cpu", torch.bfloat16):
        network(x, t, cond.scene_BMC)
    assert seen == [torch.bfloat16]


def test_gradients_of_bf16_training_arrive_in_float32_weights() -> None:
    network = slat_base()
    x, t, cond, _ = texturer_inputs()
    with torch.autocast("cpu", torch.bfloat16):
        network(x, t, cond.scene_BTC).feats.square().mean().backward()
    assert all(p.grad.dtype == torch.float32 and p.grad.isfinite().all() for p in network.parameters())


def test_a_sparse_block_compiles_once_for_all_numbers_of_objects_and_voxels(monkeypatch) -> None:
    use_varlen_on_cpu(monkeypatch)
    torch.compiler.reset()
    network, count = slat_base(num_blocks=2), torch._dynamo.testing.CompileCounter()
    compile_blocks(network, backend=count)
    for lengths in ((60, 45), (40, 22, 90), (9, 8), (33, 12, 5, 61)):
        x, t, cond, _ = texturer_inputs(lengths)
        network(x, t, cond.scene_BTC)
    assert count.frame_count == 1


def test_sparse_blocks_can_be_left_uncompiled() -> None:
    network, count = slat_base(num_blocks=1), torch._dynamo.testing.CompileCounter()
    compile_blocks(network, ragged=False, backend=count)
    x, t, cond, _ = texturer_inputs()
    network(x, t, cond.scene_BTC)
    assert count.frame_count == 0


@pytest.mark.gpu
@pytest.mark.parametrize("recompute", ["nothing", "cheap"])
def test_compiled_sparse_blocks_serve_all_batches_on_cuda(recompute) -> None:
    torch.compiler.reset()
    torch._dynamo.utils.counters.clear()
    network = slat_base(num_blocks=2, execution=Execution(sparse_conv="reference", recompute=recompute)).cuda()
    compile_blocks(network)
    for step in range(12):
        x, t, cond, _ = texturer_inputs((60 + 7 * step, 90 - 5 * step, *range(11, 11 + step)))
        x = SparseTensor.from_coords(x.feats.cuda(), x.coords.cuda())
        with torch.autocast("cuda", torch.bfloat16):
            network(x, t.cuda(), cond.scene_BTC.cuda()).feats.square().mean().backward()
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
