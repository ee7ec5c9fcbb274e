"""DINOv2's patch tokens as voxel features, as TRELLIS uses them: before the final norm, of views of 518 pixels.

Shapes: K views, B of them at a time, C channels, h w patches.
"""

import numpy as np
import torch
from torch import Tensor

from models.checkpoints import CheckpointError, Runtime
from models.dinov2 import DinoConfig, DinoVisionTransformer, dino_config, normalise_image
from models.dinov2_checkpoints import read_dinov2
from scenegen.annotate.torch_setup import pick_device, reduced_precision
from scenegen.annotate.weights import Weights
from scenegen.errors import SceneGenError
from scenegen.objects.networks.protocol import network_images

OFFICIAL = dino_config("dinov2_vitl14_reg")


class DinoV2:
    """A loaded DINOv2; see FeatureExtractor."""

    name = "dinov2"

    def __init__(self, network: DinoVisionTransformer, device: torch.device, batch_size: int) -> None:
        self._network = network.to(device).eval()
        self._device, self._batch_size = device, batch_size
        self.channels = network.config.embed_dim

    @classmethod
    def load(
        cls, weights: Weights, device: str = "auto", batch_size: int = 16, config: DinoConfig = OFFICIAL
    ) -> "DinoV2":
        """Load the authors' .pth or the hub's .safetensors. Raises SceneGenError for a file that is neither."""
        chosen = pick_device(device)
        try:
            return cls(read_dinov2(weights.file, config, Runtime(device=chosen)), chosen, batch_size)
        except CheckpointError as error:
            raise SceneGenError(f"dinov2: {error}. Check --weights, or fetch the checkpoint again") from None

    @torch.inference_mode()
    def __call__(self, rgba_KHW4: np.ndarray) -> Tensor:
        starts = range(0, len(rgba_KHW4), self._batch_size)
        return torch.cat([self._maps(rgba_KHW4[start : start + self._batch_size]) for start in starts])

    def _maps(self, rgba_BHW4: np.ndarray) -> Tensor:
        config = self._network.config
        images = normalise_image(network_images(rgba_BHW4, config.img_size, self._device))
        with reduced_precision(self._device):
            tokens_BTC = self._network(images).before_norm_BTC
        edge = config.img_size // config.patch_size
        patches_BPC = tokens_BTC[:, 1 + config.num_register_tokens :]
        return patches_BPC.float().transpose(1, 2).unflatten(2, (edge, edge))
