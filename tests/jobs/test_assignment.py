import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenegen.errors import UsageError
from scenegen.jobs.assignment import KUBERNETES_SIZE, resolve_assignment


def slurm(task: int, first: int, count: int, step: int = 1) -> dict[str, str]:
    last = first + step * (count - 1)
    values = {"ID": task, "MIN": first, "MAX": last, "COUNT": count, "STEP": step}
    return {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in values.items()}


@given(shards=st.integers(0, 300), count=st.integers(1, 40), first=st.integers(0, 5), step=st.integers(1, 4))
def test_the_tasks_of_a_slurm_array_cover_every_shard_once(shards, count, first, step):
    tasks = [resolve_assignment("auto", slurm(first + step * i, first, count, step)) for i in range(count)]
    assert sorted(shard for task in tasks for shard in task.shards(shards)) == [*range(shards)]


@given(shards=st.integers(0, 300), count=st.integers(1, 40))
def test_the_pods_of_an_indexed_job_cover_every_shard_once(shards, count):
    pods = [
        resolve_assignment("auto", {"JOB_COMPLETION_INDEX": str(i), KUBERNETES_SIZE: str(count)}) for i in range(count)
    ]
    assert sorted(shard for pod in pods for shard in pod.shards(shards)) == [*range(shards)]


def test_an_explicit_array_goes_before_slurm_and_slurm_before_kubernetes():
    kubernetes = {"JOB_COMPLETION_INDEX": "1", KUBERNETES_SIZE: "3"}
    everything = slurm(4, 0, 8) | kubernetes
    assert resolve_assignment("2/5", everything).shards(10) == range(2, 10, 5)
    assert resolve_assignment("auto", everything).shards(10) == range(4, 10, 8)
    assert resolve_assignment("auto", kubernetes).shards(10) == range(1, 10, 3)
    assert resolve_assignment("auto", {}).shards(10) == range(10)


@pytest.mark.parametrize(
    ("array", "environment"),
    [
        ("3/3", {}),
        ("1", {}),
        ("-1/3", {}),
        ("0/0", {}),
        ("auto", {"JOB_COMPLETION_INDEX": "1"}),
        ("auto", {"JOB_COMPLETION_INDEX": "3", KUBERNETES_SIZE: "3"}),
        ("auto", {"SLURM_ARRAY_TASK_ID": "1"}),
        ("auto", slurm(7, 0, 3) | {"SLURM_ARRAY_TASK_MAX": "7"}),
        ("auto", slurm(1, 0, 2) | {"SLURM_ARRAY_TASK_ID": "one"}),
        ("auto", slurm(3, 0, 3, step=2)),
    ],
)
def test_a_share_that_cannot_be_known_is_refused_and_never_guessed(array, environment):
    with pytest.raises(UsageError, match=r"--array|SCENEGEN_ARRAY_SIZE|counted from 0"):
        resolve_assignment(array, environment)


def test_the_log_begins_with_whose_shards_are_whose():
    line = resolve_assignment("1/4", {}).describe(11)
    assert line == "assignment: task 1 of 4 (--array): shards 1, 5, 9 (3 of 11)"
