"""What happens when a sample cannot be made: another takes its place, or training ends with the reason.

A Rejected sample is expected, since its row is sound, and always replaced. A bad row means damaged data: it ends
training unless the user asked for replacement, and even then when there are more than a budget. Both are counted and
logged. The replacement follows from the seed, so that a resumed run takes the same one.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

from pipelines.errors import PipelineError
from pipelines.train.data.errors import BadRowError, Rejected
from pipelines.train.data.randomness import Stream, generator
from pipelines.train.interfaces.loading import SampleSource

log = logging.getLogger(__name__)

_TRIES = 64
_ALWAYS_ALLOWED = 3  # a share means nothing yet after a handful of samples
_LOG_EVERY = 10_000


@dataclass(frozen=True)
class BadRowPolicy:
    """What to do about rows that cannot be read.

    action: "raise" ends training; "replace" takes another sample. budget: largest share of such rows among the samples
    loaded.
    """

    action: Literal["raise", "replace"] = "raise"
    budget: float = 0.001


@dataclass(frozen=True)
class SampleProblems:
    """Why other samples had to be replaced by one: reasons of rejected ones, messages of bad rows."""

    rejected: tuple[str, ...] = ()
    bad_rows: tuple[str, ...] = ()


def load_or_replace(
    source: SampleSource[Any], index: int, epoch: int, seed: int, policy: BadRowPolicy
) -> tuple[Any, SampleProblems]:
    """Sample `index`, or its replacement, and why it was replaced.

    Raises BadRowError if the policy says so, PipelineError if one replacement after the other cannot be made, either.
    """
    rejected: list[str] = []
    bad_rows: list[str] = []
    rng = generator(seed, Stream.REPLACEMENT, epoch, index)
    for _ in range(_TRIES):
        try:
            return source.load(index, epoch), SampleProblems(tuple(rejected), tuple(bad_rows))
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
class ProblemCounts:
    """What one rank has loaded and replaced since it started."""

    policy: BadRowPolicy
    loaded: int = 0
    bad_rows: int = 0
    rejected: Counter[str] = field(default_factory=Counter)

    def add(self, samples: int, problems: tuple[SampleProblems, ...]) -> None:
        """Count loaded samples and their problems. Raises PipelineError when the budget of bad rows is exceeded."""
        before = self.loaded
        self.loaded += samples
        for problem in problems:
            self.rejected.update(problem.rejected)
            for message in problem.bad_rows:
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
