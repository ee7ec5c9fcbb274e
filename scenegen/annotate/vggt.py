"""VGGT through its authors' package `vggt`: depth and confidence from one view, or together with others of the scene.

No release of it is on PyPI; the user installs it from its repository. Its depth is right up to one scale.
Half of the views are seen alone, the others with 1 to 7 more, as for the official training data, but seeded.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from scenegen.annotate.protocol import Prediction, Request, rng_for_view
from scenegen.annotate.torch_setup import pick_device, reduced_precision, refuse_partial, resized
from scenegen.annotate.weights import MissingWeightsError, Weights

MAX_OTHER_VIEWS = 7
_SIDE_PX = 518
_PATCH_PX = 14
_STREAM = 2
_UNUSED_HEADS = ("point_head", "track_head")

Network = Callable[[Tensor], Mapping[str, Tensor]]
"""(1, S, 3, h, w) images in [0, 1] to depth (1, S, h, w, 1), depth_conf (1, S, h, w) and pose_enc (1, S, 9)."""


class Vggt:
    """A loaded network; see DepthEstimator.

    max_other_views: 0 shows every view alone.
    """

    def __init__(self, network: Network, device: torch.device, max_other_views: int, seed: int) -> None:
        self._network, self._device = network, device
        self._max_other_views, self._seed = max_other_views, seed

    @classmethod
    def load(
        cls, weights: Weights, device: str = "auto", max_other_views: int = MAX_OTHER_VIEWS, seed: int = 0
    ) -> "Vggt":
        """From the authors' checkpoint, .safetensors or .pt.

        Raises MissingWeightsError if the package is not installed, SceneGenError for weights that do not fit.
        """
        try:
            from vggt.models.vggt import VGGT
        except ImportError as error:
            raise MissingWeightsError(
                f"vggt: the package vggt cannot be imported ({error}). PyPI has no release of it; install the authors' "
                "own with: pip install git+https://github.com/facebookresearch/vggt"
            ) from None
        network: nn.Module = VGGT()
        for head in _UNUSED_HEADS:
            setattr(network, head, None)
        state = {key: value for key, value in _read(weights).items() if not key.startswith(_UNUSED_HEADS)}
        missing = network.load_state_dict(state, strict=False).missing_keys
        refuse_partial("vggt", sorted(missing))
        chosen = pick_device(device)
        return cls(network.to(chosen).eval(), chosen, max_other_views, seed)

    def companions(self, scene_index: int, view_index: int, views: Sequence[int]) -> tuple[int, ...]:
        rng = rng_for_view(self._seed, scene_index, view_index, _STREAM)
        others = [view for view in views if view != view_index]
        most = min(self._max_other_views, len(others))
        if not most or rng.random() < 0.5:
            return ()
        return tuple(int(view) for view in rng.permutation(others)[: rng.integers(1, most + 1)])

    def predict(self, requests: Sequence[Request]) -> list[Prediction]:
        return [self._predict(request) for request in requests]

    @torch.inference_mode()
    def _predict(self, request: Request) -> Prediction:
        height, width = request.rgb.shape[:2]
        size = input_size(height, width)
        frames = [prepare(rgb, size) for rgb in (request.rgb, *(rgb for _, rgb in request.other_views))]
        with reduced_precision(self._device):
            output = self._network(torch.stack(frames)[None].to(self._device))
        depth = resized(output["depth"][:, 0, ..., 0], (height, width), "bilinear")[0]
        confidence = resized(output["depth_conf"][:, 0], (height, width), "bilinear")[0]
        fov_x_rad = float(output["pose_enc"][0, 0, 8])
        depth = torch.where(depth > 0, depth, torch.nan)
        return Prediction(
            depth.cpu().numpy(),
            confidence.cpu().numpy(),
            focal_px=0.5 * width / math.tan(fov_x_rad / 2) if 0 < fov_x_rad < math.pi else None,
        )


def input_size(height: int, width: int) -> tuple[int, int]:
    """(h, w) of the network's input: the longer side 518, both multiples of a patch; square images as the authors'."""
    scale = _SIDE_PX / max(height, width)
    patches = [max(1, round(side * scale / _PATCH_PX)) for side in (height, width)]
    return patches[0] * _PATCH_PX, patches[1] * _PATCH_PX


def prepare(rgb: np.ndarray, size: tuple[int, int]) -> Tensor:
    """(H, W, 3) uint8 to (3, h, w) in [0, 1], bicubic; the network normalises by itself."""
    small = Image.fromarray(rgb).resize((size[1], size[0]), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(small)).movedim(-1, 0).float() / 255


def _read(weights: Weights) -> dict[str, Tensor]:
    if weights.file.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(weights.file)
    return torch.load(weights.file, map_location="cpu", weights_only=True)
