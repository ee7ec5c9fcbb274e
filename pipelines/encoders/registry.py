"""Image encoders by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipelines.encoders.protocol import ImageEncoders
from pipelines.errors import PipelineError, UsageError
from pipelines.names import ENCODER_NAMES


def load_encoders(
    name: str, weights: Mapping[str, str | Path] | None = None, image_px: int | None = None
) -> ImageEncoders:
    """The encoders, frozen, on the CPU.

    weights: files of the official pair ("dinov2", "moge2"). image_px: edge of their images, None for the default; the
    official pair has one size.
    Raises UsageError for an unknown name or size, PipelineError without the package of the small network, and
    models.CheckpointError for missing or wrong weights.
    """
    if name == "official":
        from pipelines.encoders.official import IMAGE_PX, OfficialEncoders

        if image_px not in (None, IMAGE_PX):
            raise UsageError(f"the official encoders see images of {IMAGE_PX} px, not of {image_px}")
        return OfficialEncoders.load(weights or {})
    if name == "efficientnet_lite0":
        from models.efficientnet import EfficientNetLite0, MissingPackage
        from pipelines.encoders.efficientnet import DEFAULT_PX, EfficientNetEncoders

        try:
            network = EfficientNetLite0.from_package()
        except MissingPackage as error:
            raise PipelineError(str(error)) from None
        return EfficientNetEncoders(network, image_px or DEFAULT_PX)
    raise UsageError(f"unknown image encoders {name!r}; choose one of {', '.join(ENCODER_NAMES)}")
