"""A sphere as FlexiCubes fields; run as a script it extracts one and prints memory in MB and time.

Prints: peak of the whole process, peak above what it held before the extraction, network outputs, seconds.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch
from torch import Tensor

from models.flexicubes.extraction import extract_mesh
from models.flexicubes.tables import CORNERS


def sphere_cubes(resolution: int, radius: float, use_color: bool = True, solid: bool = False) -> tuple[Tensor, Tensor]:
    """Network outputs [Q, 101 or 53] and positions [Q, 3] of the cubes of all 4^3 blocks that a sphere passes.

    solid: also of the blocks inside; without them the empty inside gets a surface of its own.
    """
    axis = torch.arange(resolution // 4)
    block = torch.cartesian_prod(axis, axis, axis)
    distance = ((block + 0.5) * 4 / resolution - 0.5).norm(dim=1) - radius
    reach = 4 / resolution * 0.75  # about half of a block's diagonal
    occupied = block[(distance if solid else distance.abs()) < reach]
    child = torch.arange(4)
    cubes = (occupied[:, None] * 4 + torch.cartesian_prod(child, child, child)).flatten(0, 1)
    generator = torch.Generator().manual_seed(0)
    feats = torch.empty(len(cubes), 101 if use_color else 53).normal_(std=0.3, generator=generator)
    for c, corner in enumerate(CORNERS):
        position = (cubes + torch.tensor(corner)) / resolution - 0.5
        feats[:, c] = position.norm(dim=1) - radius + 1 / resolution
    return feats, cubes


def resident_mb(field: str) -> float:
    """VmRSS (now) or VmHWM (peak) of this process; unlike `ru_maxrss` the peak does not include the parent's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


if __name__ == "__main__":
    torch.set_num_threads(1)
    edge = int(sys.argv[1])
    feats, cubes = sphere_cubes(edge, 0.4)
    before_mb = resident_mb("VmRSS")
    start = time.perf_counter()
    with torch.no_grad():
        extract_mesh(feats, cubes, edge, use_color=True)
    seconds = time.perf_counter() - start
    peak_mb = resident_mb("VmHWM")
    sys.stdout.write(f"{peak_mb} {peak_mb - before_mb} {feats.nbytes / 2**20} {seconds}\n")
