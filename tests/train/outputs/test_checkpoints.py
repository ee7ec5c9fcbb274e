"""A checkpoint that is there is complete, whatever happened while it was written."""

import os
import signal

import pytest
import torch

from models.checkpoints import read_network
from pipelines.errors import PipelineError
from pipelines.train.optimisation.learner import LearnerState
from pipelines.train.outputs import checkpoints as module_under_test
from pipelines.train.outputs.checkpoints import Checkpoints, Networks, Retention
from tests.train.loop.spheres import SphereStage


class Saver:
    """Saves the spheres' networks with every weight equal to the step."""

    def __init__(self, folder, retention=None):
        stage = SphereStage()
        self.networks = Networks.of(stage.module(), stage.networks())
        self.weights = {name: p.detach() for name, p in stage.module().named_parameters()}
        self.checkpoints = Checkpoints(folder, {"stage": "spheres"}, retention or Retention())

    def save(self, step):
        weights, *others = ({name: torch.full_like(p, step) for name, p in self.weights.items()} for _ in range(4))
        state = LearnerState(*others, {"updates": torch.tensor(float(step))})
        return self.checkpoints.save(step, self.networks, weights, state)


@pytest.mark.parametrize("function", ["_write_tensors", "write_network", "digest"])
def test_a_kill_in_the_middle_of_a_save_leaves_the_one_before_as_the_newest(tmp_path, monkeypatch, function):
    saver = Saver(tmp_path)
    saver.save(1)
    child = os.fork()
    if child == 0:

        def killed(*args, **more):
            (saver.checkpoints.folder / ".step-00000002.partial" / "half.safetensors").write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGKILL)

        monkeypatch.setattr(module_under_test, function, killed)
        try:
            saver.save(2)
        finally:
            os._exit(1)  # never reached: this process is dead by now
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    newest = saver.checkpoints.newest()
    assert newest.name == "step-00000001"
    assert saver.checkpoints.step_of(newest) == 1
    assert set(saver.networks.read(newest / "ema")) >= set(saver.weights)
    saver.save(2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000001", "step-00000002"]
    assert not list(tmp_path.rglob("half.safetensors"))


def test_old_checkpoints_go_and_every_nth_stays(tmp_path):
    saver = Saver(tmp_path, Retention(last=2, every=3))
    for step in range(1, 8):
        saver.save(step)
    assert [int(path.name[-2:]) for path in saver.checkpoints.all()] == [3, 6, 7]


def test_networks_are_in_the_official_layout_raw_and_averaged(train):
    train()
    for kind in ("networks", "ema"):
        network = read_network(train.folder() / "checkpoints/step-00000004" / kind / "sphere_flow")
        assert network.config == SphereStage().module().flow.config
    result = read_network(train.folder() / "result/sphere_flow")
    averaged = read_network(train.folder() / "checkpoints/step-00000004/ema/sphere_flow")
    assert all(torch.equal(a, b) for a, b in zip(result.parameters(), averaged.parameters(), strict=True))


def test_a_trained_parameter_outside_of_every_network_is_a_mistake():
    stage = SphereStage()
    stage.module().extra = torch.nn.Linear(2, 2)
    with pytest.raises(ValueError, match=r"extra\.weight"):
        Networks.of(stage.module(), stage.networks())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_says_so(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PipelineError, match="Make room or mend the access"):
        Saver(tmp_path / "inside").save(1)


def test_a_place_that_is_no_folder_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(PipelineError, match="Make room or mend the access"):
        Saver(tmp_path / "file").save(1)
