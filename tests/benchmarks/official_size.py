"""Networks of the official sizes with random weights, and batches of the official shapes, for measuring on a GPU.

Nothing here is trained: what comes out of these networks means nothing, only what they cost does.
`tiny` stands for the same code with small networks, to try a benchmark on a CPU.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from models.completer import StructureCompleter
from models.dinov2 import DinoVisionTransformer, dino_config
from models.execution import Execution
from models.gaussian_decoder import GaussianDecoder
from models.moge import Moge, MogeConfig
from models.slat_flow import SLatFlow
from models.slat_vae import SLatEncoder
from models.structure_flow import SparseStructureFlow
from models.structure_vae import SparseStructureDecoder, SparseStructureEncoder
from models.texturer import Texturer
from models.weights import freeze
from pipelines.encoders.official import DINOV2_HUB, OfficialEncoders
from pipelines.encoders.protocol import ImageEncoders
from pipelines.encoders.registry import load_encoders
from pipelines.latent_statistics import OFFICIAL_SLAT
from pipelines.train.data.batches import StructureBatch, TextureBatch
from pipelines.train.data.collate import structure_batch, texture_batch
from pipelines.train.data.randomness import draw_step
from pipelines.train.data.samples import InstanceImages, SampleName, StructureSample, TextureSample
from pipelines.train.settings.recipes import FlowRecipe, coarse, fine, texturer
from pipelines.train.settings.sizes import SystemSizes, system_sizes
from pipelines.train.stages.completer import CompleterModule
from pipelines.train.stages.slat_common import SlatCodec
from pipelines.train.stages.structure_common import StructureCodec
from pipelines.train.stages.texturer import TexturerModule

SizeName = Literal["official", "small", "tiny"]
StageName = Literal["coarse", "fine", "texturer"]
KEYS = Path(__file__).parents[1] / "parity" / "fixtures" / "keys"
PER_SCENE = 4  # objects that share a view, as the data path bundles them
RADII_VOXELS = (24, 22, 26, 23)  # of the spheres whose surfaces stand for objects: about 11,000 voxels
NetworkT = TypeVar("NetworkT", bound=nn.Module)


@dataclass(frozen=True)
class System:
    """Everything that the stages are made from, on one device."""

    sizes: SystemSizes
    encoders: ImageEncoders
    device: torch.device
    execution: Execution

    @classmethod
    def of(cls, size: SizeName, device: torch.device, execution: Execution) -> System:
        torch.manual_seed(0)
        with device:
            encoders = random_official_encoders() if size == "official" else load_encoders("efficientnet_lite0")
        for network in encoders.networks():
            network.to(device)
        return cls(system_sizes(size, encoders.sizes), encoders, device, execution)

    def module(self, stage: StageName) -> CompleterModule | TexturerModule:
        """Of "coarse", "fine" or "texturer"."""
        return self.texturer() if stage == "texturer" else self.completer(coarse() if stage == "coarse" else fine())

    def batch(self, stage: StageName, samples: int, first: int = 0) -> StructureBatch | TextureBatch:
        """The samples from number `first` on; the voxels of a texturer's differ."""
        numbers = range(first, first + samples)
        if stage == "texturer":
            return texture_batch([self._texture_sample(number) for number in numbers]).to(self.device)
        return structure_batch([self._structure_sample(number) for number in numbers]).to(self.device)

    def completer(self, recipe: FlowRecipe) -> CompleterModule:
        with self.device:
            base = freeze(stirred(SparseStructureFlow(self.sizes.structure_flow, self.execution)))
            branch = StructureCompleter(self.sizes.completer, self.execution).start_from(base)
            encoder = freeze(SparseStructureEncoder(self.sizes.structure_encoder))
            codec = StructureCodec(encoder, freeze(SparseStructureDecoder(self.sizes.structure_decoder)))
            return CompleterModule(stirred(branch), base, codec, self.encoders, recipe)

    def texturer(self) -> TexturerModule:
        with self.device:
            base = freeze(stirred(SLatFlow(self.sizes.slat_flow, self.execution)))
            branch = Texturer(self.sizes.texturer, self.execution).start_from(base)
            encoder = freeze(SLatEncoder(self.sizes.slat_encoder, self.execution))
            codec = SlatCodec(encoder, freeze(GaussianDecoder(self.sizes.gaussian_decoder)), OFFICIAL_SLAT)
            return TexturerModule(stirred(branch), base, codec, self.encoders, texturer())

    def _structure_sample(self, number: int) -> StructureSample:
        voxels = sphere_V3(RADII_VOXELS[0])
        seen = voxels[voxels[:, 0] > 40]
        return StructureSample(
            name=SampleName(0, "sphere"),
            images=self._images(number),
            target_V3=voxels,
            partial_V3=seen,
            confidence_V=torch.rand(len(seen)),
            depth_ratio=0.5,
            estimator="none",
            T_world_cube=torch.eye(4, dtype=torch.float64),
            draws=draw_step(0, 0, number, (8, 16, 16, 16)),
        )

    def _texture_sample(self, number: int) -> TextureSample:
        radius = RADII_VOXELS[number % len(RADII_VOXELS)] / (4 if self.sizes.name == "tiny" else 1)
        voxels, edge = sphere_V3(radius), self.encoders.sizes.image_px
        T_world_cam = torch.eye(4, dtype=torch.float64)
        T_world_cam[2, 3] = -2.0
        K_norm = torch.tensor([[1.5, 0, 0.5], [0, 1.5, 0.5], [0, 0, 1]], dtype=torch.float64)
        return TextureSample(
            name=SampleName(0, "sphere"),
            coords_N3=voxels,
            slat_N8=torch.randn(len(voxels), 8),
            feats_NC=None,
            images=self._images(number),
            T_world_grid=torch.eye(4, dtype=torch.float64),
            T_world_cam=T_world_cam,
            K_norm=K_norm,
            depth_SS=torch.full((edge, edge), 1.7),
            draws=draw_step(0, 0, number, (len(voxels), 8)),
        )

    def _images(self, number: int) -> InstanceImages:
        rng, edge = torch.Generator().manual_seed(number), self.encoders.sizes.image_px

        def noise(*shape: int) -> Tensor:
            return torch.randint(0, 256, shape, dtype=torch.uint8, generator=rng)

        mask = torch.full((edge, edge), 255, dtype=torch.uint8)
        return InstanceImages(
            scene_id=number // PER_SCENE,
            scene_3SS=noise(3, edge, edge),
            scene_mask_SS=mask,
            instance_4SS=torch.cat([noise(3, edge, edge), mask[None]]),
            clean_3SS=noise(3, edge, edge),
        )


def random_official_encoders() -> OfficialEncoders:
    """DINOv2 ViT-L with registers and MoGe-2 ViT-L, on the default device."""
    described = json.loads(next(KEYS.glob("moge2_vitl_normal*.json")).read_text())
    moge = Moge(MogeConfig.from_official(described["kwargs"]))
    return OfficialEncoders(DinoVisionTransformer(dino_config(DINOV2_HUB)), moge)


def sphere_V3(radius: float) -> Tensor:
    """uint8 [V, 3]: the voxels that a sphere's surface passes."""
    axis = np.arange(64) + 0.5 - 32
    distance = np.sqrt(sum(np.meshgrid(axis**2, axis**2, axis**2, indexing="ij")))
    return torch.from_numpy(np.argwhere(np.abs(distance - radius) < 0.75).astype(np.uint8))


@torch.no_grad()
def stirred(network: NetworkT) -> NetworkT:
    """Nothing exactly zero, as after training: zeros are faster to multiply."""
    for parameter in network.parameters():
        parameter += 0.02 * torch.randn_like(parameter)
    return network
