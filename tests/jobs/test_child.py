"""A child that answers item by item: in order, each within the limit, and never the answer to an earlier question."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scenegen.jobs.child import ChildDiedError, ChildTimeoutError, KillableChild
from scenegen.jobs.restarts import DoesNotStartError


def count(to: int, fail_at: int = -1, hang_at: int = -1) -> Iterator[int]:
    for number in range(to):
        if number == fail_at:
            raise ValueError(f"no {number}")
        if number == hang_at:
            time.sleep(60)
        yield number


@pytest.fixture
def child() -> Iterator[KillableChild]:
    child = KillableChild("tests.jobs.test_child:count")
    yield child
    child.close()


def test_items_come_in_order_and_an_error_ends_them_without_harm_to_the_child(child: KillableChild):
    assert [*child.stream(20, 3)] == [0, 1, 2]
    process = child._process
    items = child.stream(20, 3, 1)
    assert next(items) == 0
    with pytest.raises(ValueError, match="no 1"):
        next(items)
    assert [*child.stream(20, 2)] == [0, 1] and child._process is process


def test_the_limit_is_of_each_item(child: KillableChild):
    items = child.stream(1.5, 3, -1, 2)
    assert [next(items), next(items)] == [0, 1]
    with pytest.raises(ChildTimeoutError, match=r"longer than 1\.5 s"):
        next(items)


def test_a_stream_that_nobody_listens_to_does_not_answer_the_next_question(child: KillableChild):
    items = child.stream(20, 1000)
    assert next(items) == 0
    items.close()
    assert [*child.stream(20, 2)] == [0, 1]


def misbehave(how: str) -> str:
    if how == "hang":
        time.sleep(60)
    if how == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    return "here"


def test_a_child_that_hangs_or_crashes_is_replaced():
    child = KillableChild("tests.jobs.test_child:misbehave")
    assert child.call(60, "answer") == "here"
    with pytest.raises(ChildTimeoutError, match=r"longer than 0\.2 s"):
        child.call(0.2, "hang")
    with pytest.raises(ChildDiedError, match="SIGSEGV"):
        child.call(60, "crash")
    assert child.call(60, "answer") == "here"
    child.close()


def once_killed(mark: str) -> str:
    """Is killed at the first call."""
    if not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), 9)
    return "here"


def always_killed() -> None:
    os.kill(os.getpid(), 9)


def test_a_call_whose_process_is_killed_from_outside_is_made_again(tmp_path: Path):
    child = KillableChild("tests.jobs.test_child:once_killed", pause_s=0.01)
    assert child.call(20, str(tmp_path / "mark")) == "here"
    child.close()
    child = KillableChild("tests.jobs.test_child:always_killed", pause_s=0.01)
    with pytest.raises(ChildDiedError, match="SIGKILL"):
        child.call(20)


def test_a_child_that_cannot_import_what_it_serves_says_so_with_its_last_words():
    child = KillableChild("tests.jobs.no_such_module:serve", pause_s=0.01)
    with pytest.raises(DoesNotStartError, match=r"code 1, 3 times(.|\n)*ModuleNotFoundError"):
        child.call(20)
