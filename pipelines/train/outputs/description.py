"""What a run is: a JSON description with a digest; a run of another description is refused with the differences."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.errors import UsageError

_ABSENT = object()


def digest(description: Mapping[str, Any]) -> str:
    """12 hex digits of the description's SHA-256."""
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()[:12]


def differences(stored: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    """Lines like `data.image_px: 518 -> 224`, one for every value that differs."""
    before, after = dict(_flat(stored)), dict(_flat(asked))
    return [
        f"{name}: {_shown(before.get(name, _ABSENT))} -> {_shown(after.get(name, _ABSENT))}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name, _ABSENT) != after.get(name, _ABSENT)
    ]


def refuse_another(stored: Mapping[str, Any], asked: Mapping[str, Any], where: str) -> None:
    """Raises UsageError that lists the differences, if there are any. where: the stored run, for the message."""
    lines = differences(stored, as_json(asked))
    if lines:
        listed = "\n  ".join(lines)
        raise UsageError(
            f"{where} was made by another run:\n  {listed}\n"
            "Choose another --run-dir, or run with what is stored (before the arrow)"
        )


def as_json(description: Mapping[str, Any]) -> dict[str, Any]:
    """The description as it will be read back: tuples become lists, keys strings."""
    return json.loads(json.dumps(description))


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves by dotted name. A list of mappings is flattened by index; a list of plain values is one leaf."""
    if isinstance(value, list) and any(isinstance(inner, Mapping) for inner in value):
        value = dict(enumerate(value))
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, value


def _shown(value: Any) -> str:
    return "(absent)" if value is _ABSENT else json.dumps(value)
