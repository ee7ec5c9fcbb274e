"""Parity fixtures: inputs, weights and outputs of the reference implementations, found through `index.json`.

`PARITY_FIXTURES` names the folder; without it the committed subset is used.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

COMMITTED = Path(__file__).parent / "fixtures"


def fixture_folder() -> Path:
    return Path(os.environ.get("PARITY_FIXTURES") or COMMITTED)


def fixture_index(folder: Path) -> dict[str, dict[str, Any]]:
    return json.loads((folder / "index.json").read_text())


def key_lists() -> list[Path]:
    """Full-size state dicts: one JSON file per official configuration."""
    return sorted(path for path in (fixture_folder() / "keys").glob("*.json") if path.name != "index.json")


@dataclass(frozen=True)
class Fixture:
    """One reference computation. Half-precision tensors were rounded before it ran, so they are read as float32."""

    name: str
    meta: dict[str, Any]
    tensors: dict[str, Tensor]
    folder: Path

    @property
    def cls(self) -> str:
        return self.meta["cls"]

    @property
    def kwargs(self) -> dict[str, Any]:
        return self.meta["kwargs"]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors below a prefix: "state", "frozen_state", "in", "in.cond", "out"."""
        start = prefix + "."
        return {key.removeprefix(start): value for key, value in self.tensors.items() if key.startswith(start)}

    @property
    def inputs(self) -> dict[str, Tensor]:
        return self.part("in")

    @property
    def outputs(self) -> dict[str, Tensor]:
        return self.part("out")

    def network_fixture(self) -> Fixture:
        """The fixture that holds the network of a sampler fixture."""
        return load_fixture(self.folder, Path(self.meta["network"]).stem)


def load_fixture(folder: Path, name: str) -> Fixture:
    with safe_open(folder / fixture_index(folder)[name]["file"], "pt") as file:
        meta = json.loads(file.metadata()["meta"])
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
    widened = {key: value.float() if value.dtype == torch.float16 else value for key, value in tensors.items()}
    return Fixture(name, meta, widened, folder)
