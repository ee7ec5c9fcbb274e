"""A cache around image encoders, for CPUs, where encoding takes a large part of a training step.

Shapes: B images, S edge, T tokens, D their width.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, nn

from pipelines.encoders.protocol import ImageEncoders, SceneFeatures


class RememberingEncoders:
    """Implements `ImageEncoders`: the outputs of other encoders, cached in half precision by the content of the images.

    max_bytes: of all outputs; the least recently used are dropped. Only for frozen encoders.
    """

    def __init__(self, encoders: ImageEncoders, max_bytes: int = 2 << 30) -> None:
        self._encoders, self._left = encoders, max_bytes
        self._known: OrderedDict[bytes, tuple[Tensor, ...]] = OrderedDict()
        self.name, self.sizes = encoders.name, encoders.sizes

    def networks(self) -> tuple[nn.Module, ...]:
        return self._encoders.networks()

    def image_tokens(self, images_B3SS: Tensor) -> Tensor:
        """[B, T, D], as of the encoders, to half precision."""
        return self._answers("tokens", images_B3SS, lambda images: (self._encoders.image_tokens(images),))[0]

    def scene_features(self, images_B3SS: Tensor) -> SceneFeatures:
        """As of the encoders, to half precision."""

        def ask(images: Tensor) -> tuple[Tensor, ...]:
            found = self._encoders.scene_features(images)
            return found.tokens_BDhw, found.detail_BFHW

        return SceneFeatures(*self._answers("scene", images_B3SS, ask))

    @torch.no_grad()
    def _answers(self, what: str, images_B3SS: Tensor, ask: Callable[[Tensor], tuple[Tensor, ...]]) -> list[Tensor]:
        keys = [_key(what, image) for image in images_B3SS]
        numbers = {key: number for number, key in enumerate(keys) if key not in self._known}
        found = {key: self._known[key] for key in keys if key in self._known}
        if numbers:
            asked = ask(images_B3SS[list(numbers.values())])
            rows = zip(*(part.half() for part in asked), strict=True)
            found.update({key: tuple(part.clone() for part in row) for key, row in zip(numbers, rows, strict=True)})
        for key in keys:
            self._keep(key, found[key])
        columns = zip(*(found[key] for key in keys), strict=True)
        return [torch.stack([part.to(images_B3SS.dtype) for part in parts]) for parts in columns]

    def _keep(self, key: bytes, answer: tuple[Tensor, ...]) -> None:
        if key not in self._known:
            self._known[key] = answer
            self._left -= _size(answer)
        self._known.move_to_end(key)
        while self._left < 0 and len(self._known) > 1:
            self._left += _size(self._known.popitem(last=False)[1])


def _key(what: str, image_3SS: Tensor) -> bytes:
    """Of the pixels, as bytes: those that loaders give are bytes divided by 255."""
    pixels = (image_3SS * 255).round().to(torch.uint8).contiguous()
    return hashlib.blake2b(pixels.numpy().tobytes(), digest_size=16, person=what.encode()).digest()


def _size(answer: tuple[Tensor, ...]) -> int:
    return sum(part.nbytes for part in answer)
