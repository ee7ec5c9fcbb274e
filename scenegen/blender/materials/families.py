"""The procedural material families by name, and where each is believable."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from scenegen.blender.materials import ground, masonry, metal, stone, textile, walls, wood
from scenegen.blender.materials.shader_nodes import Canvas, Surface


@dataclass(frozen=True, slots=True)
class Family:
    """A family of materials.

    build: adds the nodes; its random parameters come from the generator only. floor, wall, indoor, outdoor: where it is
    believable. upright: on a wall it must not be rotated by a quarter turn.
    """

    build: Callable[[Canvas, np.random.Generator], Surface]
    floor: bool = False
    wall: bool = False
    indoor: bool = False
    outdoor: bool = False
    upright: bool = False


FAMILIES: dict[str, Family] = {
    "wood_planks": Family(wood.wood_planks, floor=True, wall=True, indoor=True, outdoor=True),
    "parquet": Family(wood.parquet, floor=True, indoor=True),
    "tiles": Family(masonry.tiles, floor=True, wall=True, indoor=True, outdoor=True),
    "brick": Family(masonry.brick, floor=True, wall=True, indoor=True, outdoor=True, upright=True),
    "concrete": Family(stone.concrete, floor=True, wall=True, indoor=True, outdoor=True),
    "plaster": Family(walls.plaster, wall=True, indoor=True, outdoor=True),
    "marble": Family(stone.marble, floor=True, wall=True, indoor=True),
    "terrazzo": Family(stone.terrazzo, floor=True, indoor=True, outdoor=True),
    "carpet": Family(textile.carpet, floor=True, indoor=True),
    "fabric": Family(textile.fabric, floor=True, wall=True, indoor=True),
    "painted_wall": Family(walls.painted_wall, wall=True, indoor=True),
    "wallpaper": Family(walls.wallpaper, wall=True, indoor=True, upright=True),
    "metal": Family(metal.metal, floor=True, wall=True, indoor=True, outdoor=True),
    "asphalt": Family(ground.asphalt, floor=True, outdoor=True),
    "gravel": Family(ground.gravel, floor=True, outdoor=True),
    "grass": Family(ground.grass, floor=True, outdoor=True),
}
