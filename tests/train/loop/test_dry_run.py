from dataclasses import replace

import torch

from pipelines.train.loop.dry_run import show_stage
from tests.train.loop.spheres import OPTIONS, RECIPE, RealLoader, SphereStage


def test_a_dry_run_shows_networks_samples_the_first_batch_and_memory_and_changes_nothing():
    stage, said = SphereStage(recipe=replace(RECIPE, micro_batch_tokens=3.0)), []
    before = {name: value.clone() for name, value in stage.module().state_dict().items()}
    show_stage(stage, RealLoader(), OPTIONS, torch.device("cpu"), said.append)
    text = "\n".join(said)
    parameters = sum(p.numel() for p in stage.module().parameters())
    assert f"trained     sphere_flow: SparseStructureFlow, {parameters / 1e6:.3f} M" in text
    assert "train: 10" in text and "val: 3" in text
    assert "2 micro-batches" in text
    assert "latent_BCRRR                     float32  [2, 8, 4, 4, 4]" in text
    assert "its loss    " in text and "velocity" in text and "MiB activations" in text
    assert all(torch.equal(before[name], value) for name, value in stage.module().state_dict().items())


def test_activations_are_counted_by_what_the_backward_pass_keeps():
    sizes = {}
    for samples in (1.0, 4.0):
        said = []
        stage = SphereStage(recipe=replace(RECIPE, batch_size=4, micro_batch_tokens=samples))
        show_stage(stage, RealLoader(), OPTIONS, torch.device("cpu"), said.append)
        sizes[samples] = float(said[-1].split("frozen weights; ")[1].split(" MiB")[0])
    assert 3 < sizes[4.0] / sizes[1.0] < 5
