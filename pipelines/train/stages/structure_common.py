"""What the structure stages share: the frozen VAE, and scores of voxel grids.

Shapes: B samples, C latent channels, R latent grid edge; occupancy [B, 1, 64, 64, 64].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.structure_vae import SparseStructureDecoder, SparseStructureEncoder
from pipelines.train.stages.context import StageContext

NEAR = 2 / 64  # F-score threshold: two voxels, in edges of the cube
NOTHING = 1.0  # Chamfer distance of a prediction without voxels: the edge of the cube


@dataclass(frozen=True)
class StructureCodec:
    """The frozen structure VAE: occupancy to latent and back."""

    encoder: SparseStructureEncoder
    decoder: SparseStructureDecoder

    @classmethod
    def of(cls, context: StageContext) -> StructureCodec:
        return cls(
            context.frozen("structure_encoder", SparseStructureEncoder),
            context.frozen("structure_decoder", SparseStructureDecoder),
        )

    def networks(self) -> tuple[nn.Module, ...]:
        return self.encoder, self.decoder

    @torch.no_grad()
    def encode(self, occupancy_B1RRR: Tensor) -> Tensor:
        """[B, C, R, R, R]: the mean of the posterior."""
        mean, _ = self.encoder(occupancy_B1RRR)
        return mean.float()

    @torch.no_grad()
    def decode(self, latent_BCRRR: Tensor) -> Tensor:
        """[B, 1, 64, 64, 64] bool: occupied voxels."""
        return self.decoder(latent_BCRRR) > 0


@dataclass(frozen=True)
class VoxelScores:
    """Scores of one predicted grid.

    iou: intersection over union. chamfer: mean of the two mean distances between voxel centres, in edges of the cube.
    f_score: F1 of the voxels within two voxels of the other grid, in [0, 1].
    """

    iou: float
    chamfer: float
    f_score: float

    def named(self, suffix: str = "") -> dict[str, float]:
        """The scores by name, with a suffix on each name."""
        return {f"iou{suffix}": self.iou, f"chamfer{suffix}": self.chamfer, f"f_score{suffix}": self.f_score}


def voxel_scores(prediction_B1RRR: Tensor, target_B1RRR: Tensor) -> list[VoxelScores]:
    """Scores of each sample. A prediction without voxels has IoU 0, F-score 0 and Chamfer distance 1."""
    return [_scores(p[0].bool(), t[0].bool()) for p, t in zip(prediction_B1RRR, target_B1RRR, strict=True)]


def append(collected: dict[str, list[float]], values: dict[str, float]) -> None:
    """Append a sample's values, by name, to those of the samples before it."""
    for name, value in values.items():
        collected.setdefault(name, []).append(value)


def columns(rows: Sequence[dict[str, float]]) -> dict[str, list[float]]:
    """Lists of values by name, from each sample's values by name."""
    collected: dict[str, list[float]] = {}
    for row in rows:
        append(collected, row)
    return collected


def _scores(prediction_RRR: Tensor, target_RRR: Tensor) -> VoxelScores:
    both, either = (prediction_RRR & target_RRR).sum(), (prediction_RRR | target_RRR).sum()
    if not prediction_RRR.any() or not target_RRR.any():
        return VoxelScores(float(either == 0), NOTHING, 0.0)
    to_target = distance_to(target_RRR)[prediction_RRR]
    to_prediction = distance_to(prediction_RRR)[target_RRR]
    precision, recall = ((d < NEAR + 1e-6).float().mean().item() for d in (to_target, to_prediction))
    return VoxelScores(
        iou=(both / either).item(),
        chamfer=(to_target.mean().item() + to_prediction.mean().item()) / 2,
        f_score=2 * precision * recall / (precision + recall) if precision + recall else 0.0,
    )


def distance_to(grid_RRR: Tensor) -> Tensor:
    """[R, R, R] float32: distance of each voxel's centre to that of the nearest occupied one, in edges of the cube.

    Exact, computed one axis after the other; its cost does not depend on the number of occupied voxels.
    """
    edge = len(grid_RRR)
    index = torch.arange(edge, device=grid_RRR.device)
    step_RR = (index[:, None] - index).square().float()
    square = torch.where(grid_RRR, 0.0, torch.inf)
    for _ in range(3):  # each round handles the last axis, and makes it the first one
        square = torch.stack([(square + step).amin(-1) for step in step_RR], dim=0)
    return square.sqrt() / edge
