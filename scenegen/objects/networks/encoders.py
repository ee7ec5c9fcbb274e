"""Encodes voxels with trained encoders: their structure, and their structured latents (SLAT). Posterior means only.

Shapes: B sets of voxels, N voxels of one set, C feature channels, Z = 8 latent channels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.checkpoints import CheckpointError, Runtime, locate, read_network
from models.slat_vae import SLatEncoder
from models.sparse.voxels import SparseTensor
from models.structure_vae import SparseStructureEncoder
from scenegen.annotate.torch_setup import pick_device, reduced_precision
from scenegen.annotate.weights import Weights
from scenegen.contract.objects import GRID
from scenegen.errors import SceneGenError

_GRIDS_AT_ONCE = 4
_VOXELS_AT_ONCE = 65_536


@dataclass(frozen=True, slots=True)
class EncoderFiles:
    """Weights in an official layout: each a path, or owner/repo/path/name on the hub; None if it is not wanted."""

    structure: str | None = None
    slat: str | None = None

    def settings(self) -> dict[str, Any]:
        """Names and sha256 of the weights, which decide the rows of a latents table.

        Reads the files and downloads those on the hub; commands call it before anything is computed.
        Raises SceneGenError that says what is missing and where to put it.
        """
        found = {}
        for name, source in (("structure_encoder", self.structure), ("slat_encoder", self.slat)):
            if source is None:
                continue
            try:
                _, file = locate(source)
            except CheckpointError as error:
                raise SceneGenError(f"--{name.replace('_', '-')} {source}: {error}") from None
            found[name] = {"name": file.stem, "sha256": Weights(file.parent, file, file.name, "").sha256()}
        return found


class LatentEncoders:
    """Loaded encoders; None for one that is not wanted."""

    def __init__(
        self, structure: SparseStructureEncoder | None, slat: SLatEncoder | None, device: torch.device
    ) -> None:
        self._structure, self._slat, self._device = structure, slat, device

    @classmethod
    def load(cls, files: EncoderFiles, feature_channels: int | None, device: str = "auto") -> "LatentEncoders":
        """Load the encoders. feature_channels: of the voxel features for the SLAT encoder; None without one.

        Raises SceneGenError for a checkpoint of another network, or a SLAT encoder for other features.
        """
        chosen = pick_device(device)
        structure = _read(files.structure, SparseStructureEncoder, "--structure-encoder", chosen)
        slat = _read(files.slat, SLatEncoder, "--slat-encoder", chosen)
        if slat is not None and slat.config.in_channels != feature_channels:
            raise SceneGenError(
                f"--slat-encoder {files.slat} takes features of {slat.config.in_channels} channels, and the extractor "
                f"gives {feature_channels}; choose the extractor that it was trained with"
            )
        return cls(structure, slat, chosen)

    @property
    def wants_features(self) -> bool:
        """Whether there is a SLAT encoder."""
        return self._slat is not None

    @torch.inference_mode()
    def structure(self, voxels_BN3: Sequence[np.ndarray]) -> list[np.ndarray | None]:
        """(8, 16, 16, 16) float32 for each set of voxels; None without a structure encoder."""
        if self._structure is None:
            return [None] * len(voxels_BN3)
        latents: list[np.ndarray | None] = []
        for start in range(0, len(voxels_BN3), _GRIDS_AT_ONCE):
            group = voxels_BN3[start : start + _GRIDS_AT_ONCE]
            occupancy = torch.zeros(len(group), 1, GRID, GRID, GRID, device=self._device)
            for grid, voxels_N3 in zip(occupancy, group, strict=True):
                x, y, z = torch.from_numpy(voxels_N3.astype(np.int64)).to(self._device).T
                grid[0, x, y, z] = 1
            with reduced_precision(self._device):
                mean, _ = self._structure(occupancy)
            latents += list(mean.float().cpu().numpy())
        return latents

    @torch.inference_mode()
    def slat(self, voxels_BN3: Sequence[np.ndarray], feats_BNC: Sequence[Tensor]) -> list[np.ndarray]:
        """(N, 8) float32 for each set of voxels with features. Raises ValueError without a SLAT encoder."""
        if self._slat is None:
            raise ValueError("there is no SLAT encoder to encode with")
        latents: list[np.ndarray] = []
        for group in _groups([len(voxels_N3) for voxels_N3 in voxels_BN3]):
            coords = np.concatenate([np.insert(voxels_BN3[i], 0, item, axis=1) for item, i in enumerate(group)])
            feats = torch.cat([feats_BNC[i].to(self._device).float() for i in group])
            batch = SparseTensor.from_coords(feats, torch.from_numpy(coords.astype(np.int32)).to(self._device))
            with reduced_precision(self._device):
                mean, _ = self._slat(batch)
            latents += [part.float().cpu().numpy() for part in mean.split([len(voxels_BN3[i]) for i in group])]
        return latents


def _read(source: str | None, kind: type[nn.Module], option: str, device: torch.device) -> Any:
    if source is None:
        return None
    try:
        network = read_network(source, Runtime(device=device))
    except CheckpointError as error:
        raise SceneGenError(f"{option} {source}: {error}") from None
    if not isinstance(network, kind):
        raise SceneGenError(f"{option} {source} holds a {type(network).__name__}, not a {kind.__name__}")
    return network


def _groups(sizes: Sequence[int]) -> Iterator[list[int]]:
    """Groups of consecutive positions whose sizes add up to at most the limit; each holds at least one."""
    group: list[int] = []
    total = 0
    for position, size in enumerate(sizes):
        if group and total + size > _VOXELS_AT_ONCE:
            yield group
            group, total = [], 0
        group.append(position)
        total += size
    if group:
        yield group
