"""How a command's run ended."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RunResult:
    """exit_code: see scenegen.errors. summary: for people."""

    exit_code: int
    summary: str
