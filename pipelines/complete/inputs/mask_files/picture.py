"""A picture of masks, decoded.

Shapes: C channels (1 of ids, 3 of colours), H W image.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from pipelines.complete.inputs.mask_files.lossy_ids import lossy_format
from pipelines.complete.inputs.pictures import open_picture


@dataclass(frozen=True)
class MaskPicture:
    """image: rotated as its EXIF orientation says. lossy: its format if that is lossy; else empty."""

    image: Image.Image
    lossy: str

    @classmethod
    def read(cls, path: Path) -> MaskPicture:
        """Raises PipelineError."""
        stored = open_picture(path, "an image of masks")
        return cls(ImageOps.exif_transpose(stored), lossy_format(path, stored))

    @property
    def is_coloured(self) -> bool:
        return self.image.mode not in ("1", "L", "LA", "La", "P", "PA", "I", "F") and self.image.mode[:2] != "I;"

    @cached_property
    def planes_CHW(self) -> np.ndarray:
        """Ids (1, H, W) or colours (3, H, W); zero where the picture is transparent."""
        if self.is_coloured:
            planes = np.moveaxis(np.asarray(self.image.convert("RGB")), -1, 0)
        elif len(self.image.getbands()) == 2:
            planes = np.asarray(self.image.getchannel(0))[None]
        else:
            planes = np.asarray(self.image)[None]
        planes = planes.astype(np.uint8) if planes.dtype == bool else planes
        return planes if self.cut_out_HW is None else planes * self.cut_out_HW

    @cached_property
    def palette_CHW(self) -> np.ndarray | None:
        """The colours of a palette: they may be mixed where the ids are not. None without a palette."""
        return np.moveaxis(np.asarray(self.image.convert("RGB")), -1, 0) if self.image.mode in ("P", "PA") else None

    @cached_property
    def grey_HW(self) -> np.ndarray:
        """(H, W) uint8."""
        if self.image.mode in ("P", "PA"):
            return np.asarray(self.image.convert("L"))
        planes = self.planes_CHW
        if len(planes) == 3:
            return np.asarray(Image.fromarray(np.moveaxis(planes, 0, -1)).convert("L"))
        return planes[0] if planes.dtype == np.uint8 else np.clip(planes[0] / 257, 0, 255).astype(np.uint8)

    @cached_property
    def cut_out_HW(self) -> np.ndarray | None:
        """(H, W) bool: where it is opaque, if parts of it are transparent; else None."""
        if self.image.mode not in ("LA", "PA", "RGBA"):
            return None
        alpha_HW = np.asarray(self.image.getchannel("A"))
        return alpha_HW >= 128 if alpha_HW.min(initial=255) < 128 <= alpha_HW.max(initial=0) else None
