"""Laid units with joints: tiles and bricks."""

import numpy as np

from scenegen.blender.materials import palette
from scenegen.blender.materials.shader_nodes import Canvas, Surface


def tiles(canvas: Canvas, rng: np.random.Generator) -> Surface:
    """Ceramic or stone tiles, 10 to 60 cm, in a grid or half bond, of one colour or a chequerboard of two."""
    width = float(rng.choice([0.1, 0.15, 0.2, 0.3, 0.45, 0.6]))
    height = width * float(rng.choice([1.0, 1.0, 0.5])) if width >= 0.15 else width
    row = (canvas.y / height).floor()
    shift = 0.5 if rng.random() < 0.3 else 0.0
    u = canvas.x / width + row.modulo(2.0) * shift
    v = canvas.y / height
    tile = canvas.random(u.floor(), row)
    edge = (u.fract().edge_distance() * width).minimum(v.fract().edge_distance() * height)
    joint = rng.uniform(0.0015, 0.004)
    body = edge.smooth_step(joint / 2, joint / 2 + 0.002)
    base = palette.pick(rng, palette.TILES)
    glaze = canvas.shade(base, tile.remap(0.0, 1.0, 1.0 - rng.uniform(0.02, 0.18), 1.04))
    if shift == 0.0 and rng.random() < 0.3:
        glaze = canvas.mix((u.floor() + row).modulo(2.0), glaze, palette.pick(rng, palette.TILES))
    cloud = canvas.noise(rng.uniform(4.0, 9.0), detail=3.0, roughness=0.6)
    glaze = canvas.shade(glaze, cloud.remap(0.3, 0.7, 1.0 - rng.uniform(0.0, 0.2), 1.03))
    gloss = rng.uniform(0.12, 0.5)
    return Surface(
        color=canvas.mix(body, palette.pick(rng, palette.MORTARS), glaze),
        roughness=canvas.choose(body, 0.85, cloud.remap(0.3, 0.7, gloss, gloss + 0.1)),
        height_m=body * 0.0015 + tile * 0.0003,
    )


def brick(canvas: Canvas, rng: np.random.Generator) -> Surface:
    """Bricks of 21.5 x 6.5 cm or alike in running bond, with mortar; some walls are painted over."""
    width, height = rng.uniform(0.19, 0.25), rng.uniform(0.055, 0.075)
    joint = rng.uniform(0.006, 0.012)
    row = (canvas.y / height).floor()
    u = canvas.x / width + row.modulo(2.0) * 0.5
    v = canvas.y / height
    wobble = canvas.noise(25.0, detail=2.0) * 0.006
    edge = (u.fract().edge_distance() * width).minimum(v.fract().edge_distance() * height) + wobble - 0.003
    body = edge.smooth_step(joint / 2, joint / 2 + 0.004)
    unit = canvas.random(u.floor(), row)
    grit = canvas.noise(rng.uniform(60.0, 110.0), detail=2.0, roughness=0.6)
    base = palette.pick(rng, palette.BRICKS)
    clay = canvas.ramp(
        unit,
        (0.0, palette.scaled(base, rng.uniform(0.5, 0.8))),
        (0.5, base),
        (1.0, palette.vary(rng, palette.scaled(base, 1.2), 0.15)),
    )
    clay = canvas.shade(clay, grit.remap(0.3, 0.7, 0.8, 1.12))
    color = canvas.mix(body, palette.pick(rng, palette.MORTARS), clay)
    if rng.random() < 0.2:
        color = canvas.mix(rng.uniform(0.8, 0.97), color, palette.pick(rng, palette.PAINTS))
    return Surface(
        color=color,
        roughness=grit.remap(0.3, 0.7, 0.95, 0.8),
        height_m=body * rng.uniform(0.004, 0.009) + grit * 0.002 + unit * 0.002,
    )
