"""Sheet metal."""

import math

import numpy as np

from scenegen.blender.materials import palette
from scenegen.blender.materials.shader_nodes import Canvas, Surface


def metal(canvas: Canvas, rng: np.random.Generator) -> Surface:
    """Panels of 0.5 to 1.2 m, brushed or corrugated, dull enough for a building, some with rust."""
    base = palette.pick(rng, palette.METALS)
    brushed = canvas.noise(1.0, detail=2.0, at=canvas.vector(canvas.x * 3.0, canvas.y * 220.0))
    stain = canvas.noise(rng.uniform(0.8, 2.0), detail=4.0, roughness=0.65)
    dull = rng.uniform(0.32, 0.5)
    roughness = brushed.remap(0.3, 0.7, dull - 0.06, dull + 0.08) + stain * 0.1
    if rng.random() < 0.4:
        height = ((canvas.x * (2 * math.pi / rng.uniform(0.06, 0.12))).sin()) * 0.008
    else:
        side = rng.uniform(0.5, 1.2)
        edge = (canvas.x / side).fract().edge_distance().minimum((canvas.y / side).fract().edge_distance()) * side
        height = edge.smooth_step(0.002, 0.006) * 0.003 + brushed * 0.00005
    rust = stain.smooth_step(0.58, 0.68) * (rng.uniform(0.4, 1.0) if rng.random() < 0.4 else 0.0)
    return Surface(
        color=canvas.mix(rust, canvas.shade(base, stain.remap(0.3, 0.7, 0.85, 1.05)), palette.pick(rng, palette.RUSTS)),
        roughness=roughness.maximum(rust * 0.9),
        height_m=height,
        metallic=1.0 - rust,
    )
