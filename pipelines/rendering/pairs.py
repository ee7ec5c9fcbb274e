"""Which pixels a primitive may cover: boxes in the image → (primitive, pixel) pairs.

Both rasterisers work on such lists instead of on tiles, so that the same vectorised code handles a thousand small
primitives and a large one.

Shapes: G primitives, P pairs, H W image. A pixel's number is row * W + column.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

MAX_PAIRS = 1 << 22  # in one portion; some 200 MB


@dataclass(frozen=True)
class Boxes:
    """Ranges of columns and rows, the upper ends excluded; [G] int64 each. Empty where nothing is covered."""

    x0_G: Tensor
    x1_G: Tensor
    y0_G: Tensor
    y1_G: Tensor

    @classmethod
    def of_pixel_centres(cls, low_G2: Tensor, high_G2: Tensor, size_px: tuple[int, int]) -> Boxes:
        """The pixels of an image whose centres lie in [low, high], in pixels."""
        bound = low_G2.new_tensor(size_px)
        first = (low_G2 - 0.5).ceil().clamp(min=0).minimum(bound).long()
        end = ((high_G2 - 0.5).floor() + 1).clamp(min=0).minimum(bound).long().maximum(first)
        return cls(first[:, 0], end[:, 0], first[:, 1], end[:, 1])

    @property
    def area_G(self) -> Tensor:
        return (self.x1_G - self.x0_G) * (self.y1_G - self.y0_G)


@dataclass(frozen=True)
class Pairs:
    """owner_P: the primitive. x_P, y_P: column and row of the pixel. All int64, sorted by owner."""

    owner_P: Tensor
    x_P: Tensor
    y_P: Tensor


def pixel_pairs(boxes: Boxes, max_pairs: int = MAX_PAIRS) -> Iterator[Pairs]:
    """All pairs in the order of the primitives, in portions of at most `max_pairs`, or of one larger primitive."""
    used = boxes.area_G.nonzero().squeeze(1)
    area = boxes.area_G[used]
    portion = (area.cumsum(0) - 1) // max_pairs
    for owners in used.split(torch.unique_consecutive(portion, return_counts=True)[1].tolist()) if len(used) else ():
        yield _expand(boxes, owners)


def _expand(boxes: Boxes, owners: Tensor) -> Pairs:
    area = boxes.area_G[owners]
    start = area.cumsum(0) - area
    owner = owners.repeat_interleave(area)
    within = torch.arange(len(owner), device=owner.device) - start.repeat_interleave(area)
    width = (boxes.x1_G - boxes.x0_G)[owner]
    return Pairs(owner, boxes.x0_G[owner] + within % width, boxes.y0_G[owner] + within // width)


def order_preserving(values: Tensor) -> Tensor:
    """[P] int64 in the order of non-negative float32 values, with the lower 32 bits free."""
    return values.float().contiguous().view(torch.int32).long() << 32
