"""Poured and polished stone: concrete, marble, terrazzo."""

import numpy as np

from scenegen.blender.materials import palette
from scenegen.blender.materials.shader_nodes import Canvas, Surface


def concrete(canvas: Canvas, rng: np.random.Generator) -> Surface:
    """Grey with clouds and stains, a few pores, and with joints every 1.2 to 2.5 m or none."""
    base = palette.pick(rng, palette.CONCRETES)
    cloud = canvas.noise(rng.uniform(0.6, 1.4), detail=4.0, roughness=0.65)
    fine = canvas.noise(rng.uniform(30.0, 60.0), detail=2.0, roughness=0.6)
    color = canvas.shade(base, cloud.remap(0.25, 0.75, rng.uniform(0.65, 0.85), 1.15))
    color = canvas.shade(color, fine.remap(0.3, 0.7, 0.92, 1.06))
    pores, _ = canvas.cells(rng.uniform(14.0, 25.0))
    pore = pores.smooth_step(0.10, 0.05)
    color = canvas.mix(pore * rng.uniform(0.2, 0.7), color, palette.scaled(base, 0.4))
    height = fine * 0.0008 - pore * 0.002
    if rng.random() < 0.5:
        side = rng.uniform(1.2, 2.5)
        edge = (canvas.x / side).fract().edge_distance().minimum((canvas.y / side).fract().edge_distance()) * side
        slab = edge.smooth_step(0.003, 0.006)
        color = canvas.mix(slab, palette.scaled(base, 0.35), color)
        height = height + slab * 0.004
    smooth = rng.uniform(0.45, 0.85)
    return Surface(color=color, roughness=cloud.remap(0.3, 0.7, smooth - 0.12, smooth + 0.1), height_m=height)


def marble(canvas: Canvas, rng: np.random.Generator) -> Surface:
    """Polished slabs of 0.4 to 1.2 m with veins that change from slab to slab."""
    light, dark = palette.MARBLES[int(rng.integers(len(palette.MARBLES)))]
    base, vein_colour = palette.vary(rng, palette.linear(light), 0.04), palette.linear(dark)
    side = rng.uniform(0.4, 1.2)
    u, v = canvas.x / side, canvas.y / side
    slab = canvas.random(u.floor(), v.floor())
    at = canvas.vector(canvas.x, canvas.y, slab * 40.0)
    bend = canvas.noise(rng.uniform(1.0, 2.2), detail=4.0, roughness=0.6, at=at, distortion=rng.uniform(0.5, 1.5))
    vein = (bend - 0.5).abs().smooth_step(rng.uniform(0.03, 0.07), 0.0)
    cloud = canvas.noise(rng.uniform(0.8, 1.6), detail=3.0, at=at)
    color = canvas.mix(cloud.remap(0.35, 0.75, 0.0, 0.35), base, vein_colour)
    color = canvas.mix(vein * rng.uniform(0.35, 0.8), color, vein_colour)
    joint = (u.fract().edge_distance().minimum(v.fract().edge_distance()) * side).smooth_step(0.0006, 0.002)
    return Surface(
        color=canvas.mix(joint, palette.scaled(base, 0.45), color),
        roughness=cloud.remap(0.3, 0.7, 0.12, rng.uniform(0.2, 0.35)),
        height_m=joint * 0.0008,
    )


def terrazzo(canvas: Canvas, rng: np.random.Generator) -> Surface:
    """Stone chips of 5 to 25 mm in polished cement."""
    cement = palette.pick(rng, palette.PAINTS if rng.random() < 0.6 else palette.CONCRETES)
    scale = rng.uniform(30.0, 80.0)
    warped = canvas.uv
    distance, chip = canvas.cells(scale, at=warped)
    size = canvas.random((chip * 997.0).floor()) * 0.3 + rng.uniform(0.1, 0.22)
    is_chip = (distance - size).smooth_step(0.03, -0.03)
    stops = sorted(palette.pick(rng, palette.STONES + palette.BRICKS[:3], 0.1) for _ in range(4))
    order = rng.permutation(4)
    stone = canvas.ramp(chip, *((i / 3, stops[k]) for i, k in enumerate(order)))
    gloss = rng.uniform(0.15, 0.4)
    return Surface(
        color=canvas.mix(is_chip, cement, stone),
        roughness=canvas.choose(is_chip, gloss + 0.08, gloss),
        height_m=is_chip * 0.0002,
    )
