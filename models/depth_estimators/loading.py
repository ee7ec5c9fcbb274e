"""Networks whose code is in another package: every one of their weights must come from the checkpoint."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from models.checkpoints import CheckpointError

TRANSFORMERS_FILE = "model.safetensors"


def from_transformers(name: str, kind: Any, weights: Path) -> Any:
    """A network of the transformers library from the folder of its weights, in float32 and eval mode.

    kind: its class. Raises CheckpointError; the library alone would only warn of weights that are left at random.
    """
    from safetensors import SafetensorError

    folder = weights.parent
    if weights.name != TRANSFORMERS_FILE:
        raise CheckpointError(f"{weights}: the transformers layout has {TRANSFORMERS_FILE} beside a config.json")
    _check_type(name, kind.config_class.model_type, folder / "config.json")
    try:
        # The library alone would keep the half precision that some checkpoints are stored in.
        network, info = kind.from_pretrained(
            folder, dtype=torch.float32, local_files_only=True, output_loading_info=True
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointError(f"{folder} holds no {name} in the transformers layout: {reason}") from error
    refuse_partial(name, sorted(info["missing_keys"]), sorted(info["mismatched_keys"]))
    return network.eval()


def _check_type(name: str, wanted: str, config: Path) -> None:
    """The library alone would try to fit another network's config to this one, and fail somewhere."""
    try:
        found = json.loads(config.read_text())["model_type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{config} does not say which network it describes ({error})") from error
    if found != wanted:
        raise CheckpointError(f"{config.parent} holds a {found}, not a {name} ({wanted})")


def refuse_partial(name: str, missing: Sequence[str], mismatched: Sequence[Any] = ()) -> None:
    """A network with weights left at random is worse than none. Raises CheckpointError."""
    if missing or mismatched:
        shown = ", ".join(str(key) for key in [*missing, *mismatched][:3])
        raise CheckpointError(
            f"{name}: the checkpoint does not fill the network ({len(missing)} weights missing, {len(mismatched)} of "
            f"another shape: {shown}, ...); it is of another model or damaged. Fetch it again, or give another file"
        )
