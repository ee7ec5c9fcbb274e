import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenegen.config import DatasetConfig, JobConfig
from scenegen.errors import SceneGenError
from scenegen.jobs.resources import Machine, cluster, plan_workers, this_machine

GIB = 1 << 30
CONFIG = DatasetConfig(10)
machines = st.builds(
    Machine,
    st.integers(1, 512),
    st.integers(1, 2048).map(lambda n: n * GIB),
    st.integers(0, 16),
    node_cpus=st.integers(0, 64),
)


@given(machine=machines, workers=st.none() | st.integers(1, 600), scenes=st.none() | st.integers(0, 100))
def test_every_plan_fits_the_machine_and_ray_takes_its_numbers(machine, workers, scenes):
    plan = plan_workers(machine, CONFIG, JobConfig(workers=workers), scenes)
    assert plan.workers >= 1 and plan.workers * plan.threads <= machine.cpus
    assert plan.workers * plan.num_cpus <= machine.cpus + 1e-6
    assert plan.num_cpus < 1 or plan.num_cpus.is_integer()
    assert plan.num_cpus <= (machine.node_cpus or machine.cpus), "a task runs on one node"
    assert plan.workers * plan.num_gpus <= machine.gpus
    assert plan.num_gpus in (0, 1) or (1 / plan.num_gpus) == pytest.approx(round(1 / plan.num_gpus))
    if workers is None:
        assert plan.workers == 1 or plan.workers * 3 * GIB <= machine.memory_bytes


def test_with_gpus_each_worker_has_one():
    plan = plan_workers(Machine(64, 512 * GIB, 8), CONFIG, JobConfig())
    assert (plan.workers, plan.threads, plan.num_gpus) == (8, 8, 1.0)
    assert plan_workers(Machine(64, 512 * GIB, 8), CONFIG, JobConfig(device="cpu")).num_gpus == 0


def test_fewer_scenes_than_workers_get_the_cores_of_all():
    eight = Machine(8, 64 * GIB, 0)
    plans = [plan_workers(eight, CONFIG, JobConfig(), scenes) for scenes in (1, 3, 8, 100)]
    assert [(plan.workers, plan.threads) for plan in plans] == [(1, 8), (3, 2), (8, 1), (8, 1)]
    nodes = [{"Alive": True, "Resources": {"CPU": cpus}} for cpus in (0, 4, 8)]
    several = cluster({"CPU": 12, "memory": 64 * GIB}, nodes)
    assert plan_workers(several, CONFIG, JobConfig(), scenes=1).num_cpus == 4, "no more than the smallest node has"


def test_a_gpu_that_is_asked_for_and_missing_is_an_error():
    with pytest.raises(SceneGenError, match="--device cuda"):
        plan_workers(Machine(8, 64 * GIB, 0), CONFIG, JobConfig(device="cuda"))


def test_slurms_cores_are_respected(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "1")
    assert this_machine().cpus == 1
