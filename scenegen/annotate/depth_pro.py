"""Depth Pro through `transformers`: metric depth and the focal length that it believes in.

The library's own image processor needs torchvision; its pre- and post-processing are redone here and checked against
recorded outputs of it.
"""

import json
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from scenegen.annotate.protocol import Prediction, Request, SingleView
from scenegen.annotate.torch_setup import batches, pick_device, reduced_precision, refuse_partial, resized, stacked
from scenegen.annotate.weights import Weights
from scenegen.errors import SceneGenError

_INVERSE_LIMITS = (1e-4, 1e4)  # 1 / metre: what the authors clamp to


class DepthPro(SingleView):
    """A loaded network; see DepthEstimator. side_px: (height, width) of the network's input."""

    def __init__(self, network: nn.Module, side_px: tuple[int, int], device: torch.device, batch_size: int) -> None:
        self._network, self._side_px = network.to(device).eval(), side_px
        self._device, self._batch_size = device, batch_size

    @classmethod
    def load(cls, weights: Weights, device: str = "auto", batch_size: int = 4) -> "DepthPro":
        """From a folder in the library's format (config.json, preprocessor_config.json, model.safetensors).

        Raises SceneGenError for weights that do not fit, or a network without its focal-length head.
        """
        from transformers.models.depth_pro import DepthProForDepthEstimation

        network, info = DepthProForDepthEstimation.from_pretrained(
            weights.folder, local_files_only=True, output_loading_info=True
        )
        refuse_partial("depth_pro", sorted(info["missing_keys"]), sorted(info["mismatched_keys"]))
        if not network.use_fov_model:
            raise SceneGenError(
                f"{weights.weights_id} has no focal-length head, without which its depth is not metric; "
                "use the checkpoint apple/DepthPro-hf"
            )
        try:
            size = json.loads((weights.folder / "preprocessor_config.json").read_text())["size"]
            side_px = (size["height"], size["width"])
        except (OSError, ValueError, KeyError) as error:
            raise SceneGenError(
                f"{weights.folder}/preprocessor_config.json does not say the input size: {error}"
            ) from None
        return cls(network, side_px, pick_device(device), batch_size)

    def predict(self, requests: Sequence[Request]) -> list[Prediction]:
        predictions: dict[int, Prediction] = {}
        for group in batches(requests, self._batch_size):
            images = stacked([requests[position].rgb for position in group], self._device)
            depth, focal = self._run(images)
            for position, one, focal_px in zip(group, depth, focal, strict=True):
                predictions[position] = Prediction(one, focal_px=float(focal_px) if np.isfinite(focal_px) else None)
        return [predictions[position] for position in range(len(requests))]

    @torch.inference_mode()
    def _run(self, images_B3HW: Tensor) -> tuple[np.ndarray, np.ndarray]:
        with reduced_precision(self._device):
            output = self._network(pixel_values=prepare(images_B3HW, self._side_px))
        size = (images_B3HW.shape[-2], images_B3HW.shape[-1])
        depth, focal = finish(output.predicted_depth.float(), output.field_of_view.float(), size)
        return depth.cpu().numpy(), focal.cpu().numpy()


def prepare(images_B3HW: Tensor, side_px: tuple[int, int]) -> Tensor:
    """[0, 1] to [-1, 1], then bilinear to the network's size without antialiasing, as the authors do."""
    return functional.interpolate((images_B3HW - 0.5) / 0.5, size=side_px, mode="bilinear", align_corners=False)


def finish(inverse_Bhw: Tensor, fov_deg_B: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Canonical inverse depth and horizontal field of view to (metric depth (B, H, W), focal length (B,) in pixels).

    The network's inverse depth is that of a camera whose focal length is the image's width.
    """
    width = size[1]
    focal_B = 0.5 * width / torch.tan(fov_deg_B * (math.pi / 360))
    inverse = resized(inverse_Bhw * (width / focal_B)[:, None, None], size, "bilinear")
    believable = (fov_deg_B > 1) & (fov_deg_B < 179)  # else focal length and scale mean nothing
    depth = torch.where(believable[:, None, None], 1 / inverse.clamp(*_INVERSE_LIMITS), torch.nan)
    return depth, torch.where(believable, focal_B, torch.nan)
