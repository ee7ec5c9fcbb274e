"""What happens when a sample cannot be made: another takes its place, or training ends with the reason.

A Rejected sample is expected (its row is sound) and always replaced. A bad row means damaged data: it ends training
unless the user asked for replacement, and even then only up to a budget. Both are counted and logged; which sample
takes the place depends on the seed alone, so that a resumed run takes the same.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

from pipelines.errors import PipelineError
from pipelines.train.data.errors import BadRowError, Rejected
from pipelines.train.data.randomness import Stream, generator
from pipelines.train.stage import SampleSource

log = logging.getLogger(__name__)

_TRIES = 64
_ALWAYS_ALLOWED = 3  # a share means nothing yet after a handful of samples
_LOG_EVERY = 10_000


@dataclass(frozen=True)
class BadRowPolicy:
    """action: of a bad row. budget: the largest share of bad rows, of what was loaded."""

    action: Literal["raise", "replace"] = "raise"
    budget: float = 0.001


@dataclass(frozen=True)
class Trouble:
    """What was wrong on the way to one sample: reasons of rejected ones, messages of bad rows."""

    rejected: tuple[str, ...] = ()
    bad_rows: tuple[str, ...] = ()


def load_or_replace(
    source: SampleSource[Any], index: int, epoch: int, seed: int, policy: BadRowPolicy
) -> tuple[Any, Trouble]:
    """A sample, and what was wrong with those before it.

    Raises BadRowError as the policy has it, PipelineError if one sample after the other cannot be made.
    """
    rejected: list[str] = []
    bad_rows: list[str] = []
    rng = generator(seed, Stream.REPLACEMENT, epoch, index)
    for _ in range(_TRIES):
        try:
            return source.load(index, epoch), Trouble(tuple(rejected), tuple(bad_rows))
        except Rejected as error:
            rejected.append(error.reason)
        except BadRowError as error:
            if policy.action == "raise":
                raise
            bad_rows.append(str(error))
        index = int(rng.integers(len(source)))
    reasons = ", ".join(f"{reason} ({count})" for reason, count in Counter([*rejected, *bad_rows]).most_common(3))
    raise PipelineError(f"{_TRIES} samples in a row could not be made: {reasons}; look at the data and its options")


@dataclass
class TroubleBook:
    """Counts of one rank since it started."""

    policy: BadRowPolicy
    loaded: int = 0
    bad_rows: int = 0
    rejected: Counter[str] = field(default_factory=Counter)

    def add(self, samples: int, troubles: tuple[Trouble, ...]) -> None:
        """Raises PipelineError when the budget of bad rows is spent."""
        before = self.loaded
        self.loaded += samples
        for trouble in troubles:
            self.rejected.update(trouble.rejected)
            for message in trouble.bad_rows:
                self.bad_rows += 1
                log.warning("bad row %d, another sample takes its place: %s", self.bad_rows, message)
        if self.bad_rows > max(_ALWAYS_ALLOWED, self.policy.budget * self.loaded):
            raise PipelineError(
                f"{self.bad_rows} bad rows among {self.loaded} samples are more than the budget of "
                f"{self.policy.budget:.2%}; check the data with: scenegen verify"
            )
        if self.rejected and before // _LOG_EVERY != self.loaded // _LOG_EVERY:
            log.info("%s", self.summary())

    def summary(self) -> str:
        """One line for people."""
        parts = [f"{count} {reason}" for reason, count in self.rejected.most_common()]
        return f"{self.loaded} samples; replaced: {', '.join(parts) or 'none'}; bad rows: {self.bad_rows}"
