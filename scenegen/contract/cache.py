"""The small least-recently-used cache in which readers keep open files and decoded tables."""

from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")

_SIZE = 64


def cached(cache: OrderedDict[KeyT, ValueT], key: KeyT, make: Callable[[], ValueT]) -> ValueT:
    """The value of a key, made if the cache does not hold it. The least recently used value beyond 64 is dropped."""
    if key in cache:
        cache.move_to_end(key)
        return cache[key]
    value = cache[key] = make()
    if len(cache) > _SIZE:
        cache.popitem(last=False)
    return value
