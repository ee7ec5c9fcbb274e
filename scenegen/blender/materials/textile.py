"""Woven and tufted: carpet, fabric."""

import math

import numpy as np

from scenegen.blender.materials import palette
from scenegen.blender.materials.shader_nodes import Canvas, Signal, Surface


def carpet(canvas: Canvas, rng: np.random.Generator) -> Surface:
    """Tufts of 3 to 7 mm with worn and brushed areas; some have bands or a lattice."""
    base = palette.pick(rng, palette.CARPETS)
    tufts, shade = canvas.cells(rng.uniform(140.0, 300.0))
    brushed = canvas.noise(rng.uniform(2.0, 5.0), detail=3.0, roughness=0.6)
    color = canvas.shade(base, shade.remap(0.0, 1.0, 0.75, 1.2))
    if rng.random() < 0.4:
        other = palette.vary(rng, palette.scaled(base, rng.choice([0.6, 1.4])), 0.15)
        color = canvas.mix(_bands(canvas, rng, rng.uniform(0.15, 0.6)), color, canvas.shade(other, shade + 0.5))
    color = canvas.shade(color, brushed.remap(0.3, 0.7, 0.85, 1.1))
    height = tufts.remap(0.0, 0.7, 0.004, 0.0) + brushed * 0.004
    return Surface(color=color, roughness=0.98, height_m=height, sheen=0.3)


def fabric(canvas: Canvas, rng: np.random.Generator) -> Surface:
    """Coarse weave of 4 to 9 mm, plain, striped or checked."""
    base = palette.pick(rng, palette.FABRICS)
    thread = 2 * math.pi / rng.uniform(0.004, 0.009)
    weave = ((canvas.x * thread).sin() * (canvas.y * thread).sin()) * 0.5 + 0.5
    slub = canvas.noise(1.0, detail=2.0, at=canvas.vector(canvas.x * 4.0, canvas.y * 70.0))
    color = canvas.shade(base, weave.remap(0.0, 1.0, 0.88, 1.06))
    color = canvas.shade(color, slub.remap(0.3, 0.7, 0.88, 1.08))
    if rng.random() < 0.6:
        other = palette.vary(rng, palette.scaled(base, rng.choice([0.55, 0.75, 1.3])), 0.2)
        color = canvas.mix(_bands(canvas, rng, rng.uniform(0.06, 0.3)) * 0.8, color, other)
    return Surface(color=color, roughness=0.95, height_m=weave * 0.0005 + slub * 0.0005, sheen=0.2)


def _bands(canvas: Canvas, rng: np.random.Generator, period_m: float) -> Signal:
    """Stripes in one direction, or in both (a check), as a mask."""
    share = rng.uniform(0.1, 0.3)
    stripes = ((canvas.x / period_m).fract() - 0.5).abs().smooth_step(share + 0.01, share - 0.01)
    if rng.random() < 0.5:
        return stripes
    return (stripes + ((canvas.y / period_m).fract() - 0.5).abs().smooth_step(share + 0.01, share - 0.01)) * 0.5
