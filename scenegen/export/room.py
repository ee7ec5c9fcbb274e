"""Floor and walls of a scene as rectangles."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from scenegen.contract.records import FLOOR_ID, WALL_ID, Scene

FLOOR_COLOUR, WALL_COLOUR = (0.35, 0.30, 0.25), (0.6, 0.6, 0.58)
"""Linear colours; the materials of rooms are procedural, and exist in Blender alone."""


@dataclass(frozen=True, slots=True)
class Plane:
    """A rectangle. corners_m: (4, 3) in the world, counter-clockwise from inside the room. normal: (3,), inwards."""

    name: str
    instance_id: int
    corners_m: np.ndarray
    normal: np.ndarray
    colour: tuple[float, float, float]


def room_planes(scene: Scene) -> Iterator[Plane]:
    """The floor and the walls; none where the scene has no description."""
    if not scene.spec_json:
        return
    room = json.loads(scene.spec_json)["room"]
    half, low, height = room["floor_size_m"] / 2.0, room["floor_z_m"], room["wall_height_m"]
    floor = np.array([[-half, -half, low], [half, -half, low], [half, half, low], [-half, half, low]])
    yield Plane("floor", FLOOR_ID, floor, np.array([0.0, 0, 1]), FLOOR_COLOUR)
    for wall in room["walls"]:
        axis, sign = "xy".index(wall["side"][0]), 1.0 if wall["side"][1] == "+" else -1.0
        outwards = np.zeros(3)
        outwards[axis] = sign
        up = np.array([0.0, 0, 1])
        along = np.cross(up, -outwards)  # so that from inside the corners turn against the clock
        foot = outwards * half + up * low
        corners = [foot - along * half, foot + along * half]
        corners += [corners[1] + up * height, corners[0] + up * height]
        yield Plane(
            f"wall_{'xy'[axis]}{'pos' if sign > 0 else 'neg'}", WALL_ID, np.array(corners), -outwards, WALL_COLOUR
        )
