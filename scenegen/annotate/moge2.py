"""MoGe-2 with our own network: metric depth, a validity mask and the focal length, from the authors' checkpoint."""

from collections.abc import Sequence

import numpy as np
import torch

from models.checkpoints import CheckpointError, Runtime, read_network
from models.moge import Moge
from models.point_map_camera import metric_geometry
from scenegen.annotate.protocol import Prediction, Request, SingleView
from scenegen.annotate.torch_setup import batches, pick_device, reduced_precision, stacked
from scenegen.annotate.weights import Weights
from scenegen.errors import SceneGenError


class Moge2(SingleView):
    """A loaded network; see DepthEstimator. num_tokens: image tokens, None for the most it was trained with."""

    def __init__(self, network: Moge, device: torch.device, batch_size: int, num_tokens: int | None = None) -> None:
        self._network = network.to(device).eval()
        self._device, self._batch_size, self._num_tokens = device, batch_size, num_tokens

    @classmethod
    def load(cls, weights: Weights, device: str = "auto", batch_size: int = 8) -> "Moge2":
        """From the authors' model.pt, which holds `model_config` and the weights in `model`.

        Raises SceneGenError for a file that is not such a checkpoint, or does not fill the network.
        """
        chosen = pick_device(device)
        try:
            # Its training left keys that inference has no use for; a missing one is an error all the same.
            network = read_network(weights.file, Runtime(device=chosen), ignore_unexpected=True)
        except CheckpointError as error:
            raise SceneGenError(f"moge2: {error}. Check --weights, or fetch the checkpoint again") from None
        if not isinstance(network, Moge) or network.scale_head is None:
            raise SceneGenError(f"{weights.file} holds no MoGe with metric scale (version 2), which moge2 needs")
        return cls(network, chosen, batch_size)

    def predict(self, requests: Sequence[Request]) -> list[Prediction]:
        predictions: dict[int, Prediction] = {}
        for group in batches(requests, self._batch_size):
            results = self._run([requests[position].rgb for position in group])
            predictions.update(zip(group, results, strict=True))
        return [predictions[position] for position in range(len(requests))]

    @torch.inference_mode()
    def _run(self, rgbs: Sequence[np.ndarray]) -> list[Prediction]:
        images = stacked(rgbs, self._device)
        with reduced_precision(self._device):
            output = self._network(images, self._num_tokens)
        geometry = metric_geometry(output)
        depth = torch.where(
            torch.isfinite(geometry.depth_BHW) & (geometry.depth_BHW > 0), geometry.depth_BHW, torch.nan
        )
        focal = geometry.K_norm_B33[:, 0, 0] * images.shape[-1]
        return [
            Prediction(one, focal_px=float(focal_px))
            for one, focal_px in zip(depth.float().cpu().numpy(), focal.cpu().numpy(), strict=True)
        ]
