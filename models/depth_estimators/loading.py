"""Networks whose code another package brings: every one of their weights must come from the checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from models.checkpoints import CheckpointError


def from_transformers(name: str, kind: Any, folder: Path) -> nn.Module:
    """A network of the transformers library from a folder in its layout, in eval mode.

    kind: its class. Raises CheckpointError; the library alone would only warn of weights that are left at random.
    """
    try:
        network, info = kind.from_pretrained(folder, local_files_only=True, output_loading_info=True)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(f"{folder} holds no {name} in the transformers layout: {reason}") from error
    refuse_partial(name, sorted(info["missing_keys"]), sorted(info["mismatched_keys"]))
    return network.eval()


def refuse_partial(name: str, missing: Sequence[str], mismatched: Sequence[Any] = ()) -> None:
    """A network with weights left at random is worse than none. Raises CheckpointError."""
    if missing or mismatched:
        shown = ", ".join(str(key) for key in [*missing, *mismatched][:3])
        raise CheckpointError(
            f"{name}: the checkpoint does not fill the network ({len(missing)} weights missing, {len(mismatched)} of "
            f"another shape: {shown}, ...); it is of another model or damaged. Fetch it again or check --weights"
        )
