"""From the name of an estimator to the loaded network. Each is imported when it is loaded, and never before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from models.checkpoints import CheckpointError
from models.depth_estimators.protocol import DepthEstimator


def load_depth_estimator(
    name: str, weights: Path, device: str = "cpu", half: bool = False, batch_size: int | None = None
) -> DepthEstimator:
    """The network on its device, ready.

    name: as in the manifest of estimators. weights: the weights file; its config lies beside it, if it has one.
    half: bfloat16. batch_size: pictures at a time, None for what suits the network.
    Raises CheckpointError for weights that do not fit, for a package that is missing and for an unknown name.
    """
    more: dict[str, Any] = {} if batch_size is None else {"batch_size": batch_size}
    if name == "moge2":
        from models.depth_estimators.moge2 import Moge2

        return Moge2.load(weights, device, half, **more)
    if name in ("depth_anything_v2", "depth_anything_v2_small"):
        from models.depth_estimators.depth_anything_v2 import DepthAnythingV2

        return DepthAnythingV2.load(weights, device, half, **more)
    if name == "depth_pro":
        from models.depth_estimators.depth_pro import DepthPro

        return DepthPro.load(weights, device, half, **more)
    if name == "vggt":
        from models.depth_estimators.vggt import Vggt

        return Vggt.load(weights, device, half, **more)
    raise CheckpointError(f"there is no network for the depth estimator {name!r} in models/depth_estimators")
