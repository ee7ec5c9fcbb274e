"""A child that answers item by item: in order, each within the limit, and never the answer to an earlier question."""

import time
from collections.abc import Iterator

import pytest

from scenegen.jobs.child import ChildTimeoutError, KillableChild


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
