"""Plain data as YAML, as much of it as the header of a data card needs: mappings, lists, strings, numbers, booleans."""

import json
import re
from collections.abc import Iterator
from typing import Any

_PLAIN = re.compile(r"[A-Za-z_][\w./-]*")
_TAKEN = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}


def to_yaml(value: Any) -> Iterator[str]:
    """The lines of a mapping or a list in block style. Strings that could mean something else are quoted as in JSON."""
    items = value.items() if isinstance(value, dict) else ((None, each) for each in value)
    for key, each in items:
        start = "-" if key is None else f"{_scalar(key)}:"
        if not isinstance(each, dict | list):
            yield f"{start} {_scalar(each)}"
            continue
        lines = [*to_yaml(each)]
        if key is None:  # an element of a list begins on its own line
            yield f"- {lines[0]}"
            yield from (f"  {line}" for line in lines[1:])
        else:
            yield start
            yield from (f"  {line}" for line in lines)


def _scalar(value: Any) -> str:
    plain = isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _TAKEN
    return value if plain else json.dumps(value)
