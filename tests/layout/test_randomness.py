"""Chance and time come into a layout by the door only."""

import ast
from pathlib import Path

import numpy as np
import pytest

import scenegen.layout
from scenegen.layout.randomness import Stage, rng_for

FILES = sorted(Path(scenegen.layout.__file__).parent.glob("*.py"))
BANNED_MODULES = {"random", "time", "datetime", "secrets", "uuid", "os"}
TYPES_ONLY = {"Generator", "SeedSequence"}


def offences(source: str, may_seed: bool = False) -> list[str]:
    """Uses of global randomness, of a generator made on the spot, of a clock or of the environment."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in BANNED_MODULES]
            found += [alias.name for alias in node.names if alias.name == "numpy.random"]
        elif isinstance(node, ast.ImportFrom) and node.module:
            banned = node.module.split(".")[0] in BANNED_MODULES or node.module == "numpy.random"
            found += [node.module] if banned else []
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) in {"np.random", "numpy.random"}:
            allowed = TYPES_ONLY | ({"default_rng"} if may_seed else set())
            found += [] if node.attr in allowed else [ast.unparse(node)]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_layout_uses_no_global_randomness_and_no_clock(path):
    assert offences(path.read_text(), may_seed=path.name == "randomness.py") == []


@pytest.mark.parametrize(
    "line",
    ["import random", "from time import time", "np.random.seed(0)", "x = np.random.default_rng()", "import os.path"],
)
def test_the_ban_sees(line):
    assert offences(line)


def test_every_seed_scene_and_stage_has_a_stream_of_its_own():
    draws = {rng_for(seed, scene, stage).random() for seed in (0, 1) for scene in range(20) for stage in Stage}
    assert len(draws) == 2 * 20 * len(Stage)


def test_seed_zero_is_a_seed():
    assert rng_for(0, 0, Stage.ROOM).random() == rng_for(0, 0, Stage.ROOM).random()
    assert isinstance(rng_for(0, 0, Stage.ROOM), np.random.Generator)
