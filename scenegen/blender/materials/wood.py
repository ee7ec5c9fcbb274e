"""Wooden floors and walls: planks in rows, parquet in herringbone or mosaic."""

import numpy as np

from scenegen.blender.materials import palette
from scenegen.blender.materials.shader_nodes import Canvas, Number, Signal, Surface


def wood_planks(canvas: Canvas, rng: np.random.Generator) -> Surface:
    """Boards 9 to 20 cm wide and 0.8 to 2.4 m long, laid in rows with random offsets."""
    width, length = rng.uniform(0.09, 0.20), rng.uniform(0.8, 2.4)
    row = (canvas.y / width).floor()
    along = canvas.x / length + canvas.random(row, 11.0)
    column = along.floor()
    edge = (along.fract().edge_distance() * length).minimum((canvas.y / width).fract().edge_distance() * width)
    return _boards(canvas, rng, canvas.x, canvas.y, canvas.random(row, column), edge, gap_m=rng.uniform(0.001, 0.004))


def parquet(canvas: Canvas, rng: np.random.Generator) -> Surface:
    """Short blocks 5 to 9 cm wide: herringbone, or squares of alternating direction."""
    width, count = rng.uniform(0.05, 0.09), int(rng.integers(4, 8))
    pattern = _herringbone if rng.random() < 0.6 else _mosaic
    along, across, ids, edge = pattern(canvas, width, count)
    return _boards(canvas, rng, along, across, canvas.random(*ids), edge, gap_m=rng.uniform(0.0006, 0.0015))


def _herringbone(canvas: Canvas, width: float, count: int) -> tuple[Signal, Signal, tuple[Number, ...], Signal]:
    """Blocks of `count` x 1 cells; diagonals alternate between `count` cells of horizontal and of vertical blocks."""
    u, v = canvas.x / width, canvas.y / width
    i, j = u.floor(), v.floor()
    step = (i - j).modulo(2.0 * count)
    standing = 1.0 - step.less_than(count - 0.5)
    cell_u, cell_v = u.fract(), v.fract()
    along = canvas.choose(standing, step + cell_u, (2.0 * count - 1.0) - step + cell_v)
    across = canvas.choose(standing, cell_v, cell_u)
    ids = (canvas.choose(standing, i - step, i), canvas.choose(standing, j, j + step), standing)
    edge = along.minimum(float(count) - along).minimum(across.edge_distance()) * width
    return along * width, across * width, ids, edge


def _mosaic(canvas: Canvas, width: float, count: int) -> tuple[Signal, Signal, tuple[Number, ...], Signal]:
    """Squares of `count` parallel blocks, rotated by a quarter turn from square to square."""
    side = width * count
    u, v = canvas.x / side, canvas.y / side
    standing = (u.floor() + v.floor()).modulo(2.0)
    along = canvas.choose(standing, u.fract(), v.fract())
    across = canvas.choose(standing, v.fract(), u.fract()) * float(count)
    square = u.floor() * 7.0 + v.floor() * 131.0
    edge = (along.edge_distance() * side).minimum(across.fract().edge_distance() * width)
    return along * side, across * width, (square, across.floor(), standing), edge


def _boards(
    canvas: Canvas,
    rng: np.random.Generator,
    along: Signal,
    across: Signal,
    board: Signal,
    edge_m: Signal,
    gap_m: float,
) -> Surface:
    """Grain along each board, colours that differ from board to board, dark gaps, varnish."""
    base = palette.pick(rng, palette.WOODS)
    grain_at = canvas.vector(along * rng.uniform(1.0, 2.0), across * rng.uniform(14.0, 26.0), board * 57.0)
    grain = canvas.noise(1.0, detail=3.0, roughness=0.6, at=grain_at, distortion=rng.uniform(0.2, 1.0))
    contrast = rng.uniform(0.15, 0.4)
    wood = canvas.ramp(
        grain,
        (0.3, palette.scaled(base, 1.0 - contrast)),
        (0.52, base),
        (0.72, palette.scaled(base, 1.0 + 0.6 * contrast)),
    )
    wood = canvas.shade(wood, board.remap(0.0, 1.0, 1.0 - rng.uniform(0.08, 0.3), 1.12))
    body = edge_m.smooth_step(gap_m / 2, gap_m / 2 + 0.0015)
    gloss = rng.uniform(0.25, 0.55)
    return Surface(
        color=canvas.mix(body, palette.scaled(base, 0.15), wood),
        roughness=grain.remap(0.3, 0.7, gloss + 0.12, gloss),
        height_m=body * 0.0015 + grain * rng.uniform(0.0001, 0.0004),
        coat=rng.uniform(0.1, 0.4) if rng.random() < 0.4 else 0.0,
    )
