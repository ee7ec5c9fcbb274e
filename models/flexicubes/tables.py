"""FlexiCubes' lookup tables, derived from geometry instead of listed.

A cube has 8 corners (bit 0 = x, bit 1 = y, bit 2 = z) and 12 edges; a case is the 8-bit set of its inside corners.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import torch
from torch import Tensor

# Corner pairs in the order of the released per-edge weights. Edges along y run from high to low: with that, the
# four cubes around any edge, taken in grid order, wind the same way about it.
EDGES = ((0, 1), (1, 5), (4, 5), (0, 4), (2, 3), (3, 7), (6, 7), (2, 6), (2, 0), (3, 1), (7, 5), (6, 4))
CORNERS = tuple((corner & 1, corner >> 1 & 1, corner >> 2 & 1) for corner in range(8))


@dataclass(frozen=True)
class Face:
    """A face of the cube: its corners, its edges, and the step to the cube on its other side."""

    corners: frozenset[int]
    edges: tuple[int, ...]
    step: tuple[int, int, int]


@dataclass(frozen=True)
class Tables:
    """group_256x12: dual vertex (within the cube) that an edge belongs to, -1 if the edge is not crossed.
    groups_256: number of dual vertices of a case.
    step_256x3: for a case whose only ambiguous face makes it a candidate for inversion, the step across that face;
        zeros for all other cases.
    """

    group_256x12: Tensor
    groups_256: Tensor
    step_256x3: Tensor


def faces() -> list[Face]:
    """The six faces."""
    result = []
    for axis in range(3):
        for side in (0, 1):
            corners = frozenset(corner for corner in range(8) if CORNERS[corner][axis] == side)
            edges = tuple(e for e, pair in enumerate(EDGES) if corners.issuperset(pair))
            step = [0, 0, 0]
            step[axis] = 2 * side - 1
            result.append(Face(corners, edges, (step[0], step[1], step[2])))
    return result


def inside_corners(case: int) -> frozenset[int]:
    return frozenset(corner for corner in range(8) if case >> corner & 1)


def is_crossed(edge: int, inside: frozenset[int]) -> bool:
    return len(inside.intersection(EDGES[edge])) == 1


def is_ambiguous(face: Face, inside: frozenset[int]) -> bool:
    """Two inside corners on a diagonal: the surface may pass the face in two ways."""
    return all(is_crossed(edge, inside) for edge in face.edges)


def edge_groups(case: int) -> list[set[int]]:
    """The crossed edges of a case, in loops around the cube; each loop becomes one dual vertex.

    On a face with two crossed edges these are neighbours in a loop; on an ambiguous face the two edges that meet at
    an inside corner are.
    """
    inside = inside_corners(case)
    groups = [{edge} for edge in range(12) if is_crossed(edge, inside)]
    for face in faces():
        crossed = [edge for edge in face.edges if is_crossed(edge, inside)]
        for a, b in combinations(crossed, 2):
            if len(crossed) == 2 or inside.intersection(EDGES[a]) == inside.intersection(EDGES[b]):
                groups = _merge(groups, a, b)
    return sorted(groups, key=min)


def _merge(groups: list[set[int]], a: int, b: int) -> list[set[int]]:
    touched = [group for group in groups if a in group or b in group]
    return [group for group in groups if group not in touched] + [set().union(*touched)]


def inversion_step(case: int) -> tuple[int, int, int]:
    """The step across the only ambiguous face of a case with at least five inside corners, else (0, 0, 0)."""
    inside = inside_corners(case)
    ambiguous = [face for face in faces() if is_ambiguous(face, inside)]
    return ambiguous[0].step if len(ambiguous) == 1 and len(inside) >= 5 else (0, 0, 0)


@lru_cache
def tables(device: torch.device) -> Tables:
    """All tables on one device."""
    group_256x12 = torch.full((256, 12), -1, dtype=torch.long)
    groups_256 = torch.zeros(256, dtype=torch.long)
    for case in range(256):
        groups = edge_groups(case)
        groups_256[case] = len(groups)
        for number, group in enumerate(groups):
            group_256x12[case, list(group)] = number
    step_256x3 = torch.tensor([inversion_step(case) for case in range(256)])
    return Tables(group_256x12.to(device), groups_256.to(device), step_256x3.to(device))
