"""How structured latents are brought to mean 0 and deviation 1 for the flows, and back for the decoders.

Shapes: N voxels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from torch import Tensor


@dataclass(frozen=True)
class SlatStatistics:
    """Mean and standard deviation of each of the 8 channels; the key of a checkpoint's pipeline.json that holds them
    is `slat_normalization`."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def from_json(cls, values: Mapping[str, Sequence[float]]) -> Self:
        return cls(tuple(values["mean"]), tuple(values["std"]))

    def to_json(self) -> dict[str, Any]:
        return {"mean": list(self.mean), "std": list(self.std)}

    def normalise(self, latent_N8: Tensor) -> Tensor:
        return (latent_N8 - latent_N8.new_tensor(self.mean)) / latent_N8.new_tensor(self.std)

    def restore(self, normalised_N8: Tensor) -> Tensor:
        return normalised_N8 * normalised_N8.new_tensor(self.std) + normalised_N8.new_tensor(self.mean)


OFFICIAL_SLAT = SlatStatistics(
    mean=(
        -2.1687545776367188,
        -0.004347046371549368,
        -0.13352349400520325,
        -0.08418072760105133,
        -0.5271206498146057,
        0.7238689064979553,
        -1.1414450407028198,
        1.2039363384246826,
    ),
    std=(
        2.377650737762451,
        2.386378288269043,
        2.124418020248413,
        2.1748552322387695,
        2.663944721221924,
        2.371192216873169,
        2.6217446327209473,
        2.684523105621338,
    ),
)
"""Of the latents of TRELLIS's encoder, as released with its flow."""
