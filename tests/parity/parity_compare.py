"""How our outputs are held against the reference's."""

from __future__ import annotations

import torch
from torch import Tensor

MASK_FLIPS = 0.002  # share of pixels whose mask may fall on the other side of its threshold


def assert_close(ours: Tensor, reference: Tensor, atol: float, rtol: float, what: str) -> None:
    """Within the fixture's tolerance; integers exactly; infinities in the same places; a few flips of a mask."""
    assert tuple(ours.shape) == tuple(reference.shape), (
        f"{what}: shape {tuple(ours.shape)}, not {tuple(reference.shape)}"
    )
    if reference.dtype == torch.bool:
        flips = (ours.bool() != reference).float().mean().item()
        assert flips <= MASK_FLIPS, f"{what}: {flips:.2%} of the mask differs"
        return
    if not reference.is_floating_point():
        assert torch.equal(ours.to(reference.dtype), reference), f"{what}: integers differ"
        return
    ours, reference = ours.detach().double(), reference.double()
    finite = reference.isfinite() & ours.isfinite()
    same = finite | (ours == reference)
    assert same.double().mean() >= 1 - MASK_FLIPS, f"{what}: infinities in other places"
    error = (ours - reference)[finite].abs()
    excess = error - (atol + rtol * reference[finite].abs())
    worst = error.max().item() if error.numel() else 0.0
    assert not bool((excess > 0).any()), f"{what}: differs by up to {worst:.3g}"


def assert_same_partition(ours: Tensor, reference: Tensor, what: str) -> None:
    """Two labelings group the rows alike, whatever the labels."""
    pairs = torch.stack([ours.long(), reference.long()], dim=1).unique(dim=0)
    groups = len(ours.unique()), len(reference.unique())
    assert groups == (len(pairs), len(pairs)), f"{what}: partitions differ"


def match_vertices(ours_V3: Tensor, reference_V3: Tensor, tolerance: float, what: str) -> Tensor:
    """[V] our row for each reference vertex; both sets must be the same points."""
    assert ours_V3.shape == reference_V3.shape, f"{what}: {len(ours_V3)} vertices, not {len(reference_V3)}"
    distance, row = nearest(reference_V3, ours_V3)
    assert distance.max() <= tolerance, f"{what}: a vertex is off by {distance.max():.3g}"
    assert nearest(ours_V3, reference_V3)[0].max() <= tolerance, f"{what}: a vertex has no counterpart"
    return row


def nearest(from_V3: Tensor, to_V3: Tensor) -> tuple[Tensor, Tensor]:
    """Distance to and row of the nearest point, in pieces that fit into memory."""
    pieces = [torch.cdist(part, to_V3.double()).min(dim=1) for part in from_V3.double().split(1024)]
    return torch.cat([piece.values for piece in pieces]), torch.cat([piece.indices for piece in pieces])


def face_set(faces_F3: Tensor) -> set[tuple[int, ...]]:
    """Faces as a set; a face starts at its smallest vertex and keeps its winding."""
    start = faces_F3.argmin(1, keepdim=True)
    turned = faces_F3.gather(1, (start + torch.arange(3)) % 3)
    return {tuple(face) for face in turned.tolist()}


def assert_same_mesh(
    ours: tuple[Tensor, Tensor], reference: tuple[Tensor, Tensor], tolerance: float, what: str
) -> Tensor:
    """Same vertices and faces in any order; returns our vertex row for each reference vertex."""
    (ours_V3, ours_F3), (reference_V3, reference_F3) = ours, reference
    row = match_vertices(ours_V3, reference_V3, tolerance, what)
    if len(row.unique()) == len(row):
        translated = row[reference_F3.long()]
        assert face_set(translated) == face_set(ours_F3), f"{what}: faces differ"
    else:  # several vertices in one place cannot be told apart: compare corners instead of rows
        assert len(ours_F3) == len(reference_F3), f"{what}: {len(ours_F3)} faces, not {len(reference_F3)}"
    return row
