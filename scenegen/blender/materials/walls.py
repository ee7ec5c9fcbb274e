"""Wall finishes: plaster, paint, wallpaper."""

import numpy as np

from scenegen.blender.materials import palette
from scenegen.blender.materials.shader_nodes import Canvas, Surface


def plaster(canvas: Canvas, rng: np.random.Generator) -> Surface:
    """Trowelled plaster, from nearly smooth to rustic, with broad uneven shading."""
    base = palette.pick(rng, palette.PAINTS)
    trowel = canvas.noise(rng.uniform(3.0, 9.0), detail=4.0, roughness=0.62, distortion=rng.uniform(0.3, 1.5))
    broad = canvas.noise(rng.uniform(0.4, 1.0), detail=2.0)
    color = canvas.shade(base, broad.remap(0.3, 0.7, rng.uniform(0.82, 0.95), 1.04))
    color = canvas.shade(color, trowel.remap(0.3, 0.7, rng.uniform(0.88, 0.97), 1.02))
    return Surface(color=color, roughness=0.9, height_m=trowel * rng.uniform(0.002, 0.012))


def painted_wall(canvas: Canvas, rng: np.random.Generator) -> Surface:
    """Flat or satin paint with the fine orange peel of a roller and faint smudges."""
    base = palette.pick(rng, palette.PAINTS)
    peel = canvas.noise(rng.uniform(90.0, 180.0), detail=1.0)
    smudge = canvas.noise(rng.uniform(0.5, 1.2), detail=3.0, roughness=0.6)
    sheen = rng.uniform(0.4, 0.85)
    return Surface(
        color=canvas.shade(base, smudge.remap(0.25, 0.75, rng.uniform(0.9, 0.98), 1.02)),
        roughness=smudge.remap(0.3, 0.7, sheen, min(0.95, sheen + 0.1)),
        height_m=peel * rng.uniform(0.0003, 0.0009),
    )


def wallpaper(canvas: Canvas, rng: np.random.Generator) -> Surface:
    """Paper with stripes, a lattice or scattered rosettes of 5 to 30 cm, two close colours."""
    base = palette.pick(rng, palette.WALLPAPERS)
    figure = palette.vary(rng, palette.scaled(base, rng.choice([0.6, 0.75, 1.25])), 0.15)
    period = rng.uniform(0.06, 0.3)
    u, v = canvas.x / period, canvas.y / period
    kind = rng.choice(["stripes", "lattice", "rosettes"])
    if kind == "stripes":
        mask = (u.fract() - 0.5).abs().smooth_step(0.26, 0.23)
    elif kind == "lattice":
        a, b = (u + v).fract() - 0.5, (u - v).fract() - 0.5
        mask = a.abs().minimum(b.abs()).smooth_step(0.07, 0.04)
    else:
        shifted = u + v.floor().modulo(2.0) * 0.5
        x, y = shifted.fract() - 0.5, v.fract() - 0.5
        radius = (x * x + y * y).sqrt()
        petals = (x * y * 34.0).sin().abs() * 0.12
        mask = (radius + petals).smooth_step(0.34, 0.30)
    fibre = canvas.noise(rng.uniform(60.0, 120.0), detail=2.0)
    color = canvas.shade(canvas.mix(mask * rng.uniform(0.5, 0.9), base, figure), fibre.remap(0.3, 0.7, 0.96, 1.03))
    return Surface(color=color, roughness=rng.uniform(0.6, 0.9), height_m=fibre * 0.0003 + mask * 0.0002)
