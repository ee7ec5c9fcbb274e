"""A problem of a dataset, how shards are searched for problems, and what to do about those that were found."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from scenegen.contract.objects import OBJECTS
from scenegen.contract.sidecar import PREFIX
from scenegen.contract.storage import Root
from scenegen.shards.ledger import ledger_file

_LISTED = 5


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as the contract promises.

    shard: of the views; None for the dataset as a whole and for objects tables. what: a sentence.
    beside: the file, if it is a depth sidecar or an objects table; else "".
    """

    shard: int | None
    what: str
    beside: str = ""

    def __str__(self) -> str:
        return f"shard {self.shard}: {self.what}" if self.shard is not None else self.what


def problems_of_shards(check: Callable[[int], list[Problem]], num_shards: int, processes: int = 1) -> Iterator[Problem]:
    """What `check` finds in each shard, in the order of the shards. check: picklable if processes > 1."""
    if processes == 1:
        for shard in range(num_shards):
            yield from check(shard)
        return
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        for problems in pool.map(check, range(num_shards)):
            yield from problems


def remedy(root: Root, problems: Sequence[Problem]) -> str:
    """What to do about them. Damaged shards come first, because the tables beside the views are made from them."""
    place = root.location
    own = [problem for problem in problems if not problem.beside]
    shards = sorted({problem.shard for problem in own if problem.shard is not None})
    if shards:
        names = _listed([ledger_file(shard) for shard in shards])
        again = f"scenegen render --out {place} --resume-config"
        return f"Remove {names} below {place}, then make these shards again: {again}"
    if own:
        return f"Write the index anew: scenegen merge --out {place}"
    advice = []
    for prefix, command in ((PREFIX, "annotate"), (OBJECTS, "objects")):
        files = sorted({problem.beside for problem in problems if problem.beside.startswith(prefix)})
        if files:
            again = f"scenegen {command} --data {place}"
            advice.append(f"Remove {_listed(files)} below {place}, then make them again as they were made: {again}")
    return "\n".join(advice)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
