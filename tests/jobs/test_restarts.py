"""A process that dies while it starts costs a start; only one that always ends alike is fatal."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from scenegen.jobs.restarts import DiedAtStartError, DoesNotStartError, End, WorkerKilledError, start_with_retries


def starts(*ends: int | None) -> Iterator[int | None]:
    """A start that fails in these ways, one after the other."""
    left = iter(ends)

    def start() -> str:
        end = next(left)
        if end == 0:
            return "ready"
        raise DiedAtStartError(End(end), "first line\nlast line")

    return start


@pytest.mark.parametrize("ends", [(0,), (-9, 0), (1, 0), (None, -11, 0), (3, 3, 0)])
def test_a_start_is_tried_three_times(ends):
    assert start_with_retries(starts(*ends), 0.001) == "ready"


def test_only_the_same_end_of_its_own_is_a_fault_of_the_set_up():
    with pytest.raises(DoesNotStartError, match=r"code 3, 3 times in a row.*\nfirst line\nlast line"):
        start_with_retries(starts(3, 3, 3), 0.001)
    for ends in ((-9, -9, -9), (-11, -11, -11), (3, -9, 3), (3, 4, 3)):
        with pytest.raises(WorkerKilledError, match="while it started") as caught:
            start_with_retries(starts(*ends), 0.001)
        assert "does not start" not in str(caught.value)


def test_a_shard_whose_actors_child_is_killed_as_it_starts_is_made_by_another_actor(ray_address, tmp_path: Path):
    from scenegen.jobs.shard_actors import ActorKind, ActorPlan, make_shards
    from tests.jobs.killed_actor import KilledOnce, Piece

    kind = ActorKind("nothing", "units", KilledOnce, str(tmp_path), "")
    tally = make_shards(kind, ActorPlan(1, 1, 1, 0), [Piece(0), Piece(1)], lambda event: None, threading.Event())
    assert tally.shards == 2 and not tally.failed
