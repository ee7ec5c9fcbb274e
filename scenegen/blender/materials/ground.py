"""Outdoor grounds: asphalt, gravel, grass."""

import numpy as np

from scenegen.blender.materials import palette
from scenegen.blender.materials.shader_nodes import Canvas, Surface


def asphalt(canvas: Canvas, rng: np.random.Generator) -> Surface:
    """Bitumen with 6 to 12 mm stone, patches of wear and dust, some cracks."""
    tone = rng.uniform(0.035, 0.11)
    stones, shade = canvas.cells(rng.uniform(80.0, 160.0))
    wear = canvas.noise(rng.uniform(0.4, 1.0), detail=4.0, roughness=0.65)
    color = canvas.shade((tone, tone, tone * 1.03), shade.remap(0.0, 1.0, 0.55, 1.7))
    color = canvas.shade(color, wear.remap(0.3, 0.7, 0.75, 1.4))
    dust = palette.pick(rng, palette.STONES)
    color = canvas.mix(wear.remap(0.5, 0.8, 0.0, rng.uniform(0.1, 0.35)), color, dust)
    height = stones.remap(0.0, 0.6, 0.0025, 0.0)
    if rng.random() < 0.5:
        bend = canvas.noise(rng.uniform(0.5, 0.9), detail=4.0, roughness=0.7)
        crack = (bend - 0.5).abs().smooth_step(0.008, 0.002)
        color = canvas.shade(color, 1.0 - crack * 0.7)
        height = height - crack * 0.006
    return Surface(color=color, roughness=0.9, height_m=height)


def gravel(canvas: Canvas, rng: np.random.Generator) -> Surface:
    """Rounded pebbles of 1.5 to 4 cm over finer grit."""
    base = palette.pick(rng, palette.STONES)
    warp = canvas.noise(9.0, detail=1.0) * 0.02
    at = canvas.vector(canvas.x + warp, canvas.y + warp)
    scale = rng.uniform(25.0, 60.0)
    distance, pebble = canvas.cells(scale, at=at)
    stone = canvas.ramp(
        pebble,
        (0.0, palette.scaled(base, 0.5)),
        (0.35, base),
        (0.7, palette.pick(rng, palette.STONES, 0.1)),
        (1.0, palette.scaled(base, 1.35)),
    )
    dome = distance.remap(0.0, 0.65, 1.0, 0.0)
    color = canvas.shade(stone, dome.remap(0.0, 0.5, 0.25, 1.0))
    broad = canvas.noise(rng.uniform(0.5, 1.2), detail=2.0)
    color = canvas.shade(color, broad.remap(0.3, 0.7, 0.85, 1.1))
    return Surface(color=color, roughness=rng.uniform(0.7, 0.9), height_m=dome.power(0.5) * (0.35 / scale))


def grass(canvas: Canvas, rng: np.random.Generator) -> Surface:
    """A mown lawn seen from above: tufts of blades, dry patches, soil between."""
    green, dry = palette.pick(rng, palette.GRASSES), palette.pick(rng, palette.GRASSES[-3:], 0.1)
    lean = canvas.noise(6.0, detail=2.0)
    blades_x = canvas.noise(1.0, detail=2.0, at=canvas.vector(canvas.x * 160.0, canvas.y * 45.0, lean * 9.0))
    blades_y = canvas.noise(1.0, detail=2.0, at=canvas.vector(canvas.x * 45.0, canvas.y * 160.0, lean * 9.0))
    blades = blades_x.maximum(blades_y)
    patch = canvas.noise(rng.uniform(0.5, 1.5), detail=4.0, roughness=0.65)
    color = canvas.mix(patch.remap(0.45, 0.7, 0.0, rng.uniform(0.3, 0.9)), green, dry)
    color = canvas.shade(color, blades.remap(0.45, 0.75, 0.45, 1.5))
    soil = blades.smooth_step(0.46, 0.42) * patch.remap(0.4, 0.7, 0.1, 0.8)
    color = canvas.mix(soil, color, palette.pick(rng, palette.SOILS))
    return Surface(color=color, roughness=0.85, height_m=blades * 0.03 + lean * 0.03)
