"""Floor and walls of a stored scene as rectangles, for who draws it without Blender."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from scenegen.contract.records import FLOOR_ID, WALL_ID, Scene


@dataclass(frozen=True, slots=True)
class Plane:
    """A rectangle.

    corners_m: (4, 3) in the world, counter-clockwise from inside the room; of a wall the first two on the floor.
    normal: (3,), inwards.
    """

    name: str
    instance_id: int
    corners_m: np.ndarray
    normal: np.ndarray


def room_planes(scene: Scene) -> Iterator[Plane]:
    """The floor and the walls; none where the scene has no description."""
    if not scene.spec_json:
        return
    room = json.loads(scene.spec_json)["room"]
    half, low, height = room["floor_size_m"] / 2.0, room["floor_z_m"], room["wall_height_m"]
    floor = np.array([[-half, -half, low], [half, -half, low], [half, half, low], [-half, half, low]])
    yield Plane("floor", FLOOR_ID, floor, np.array([0.0, 0, 1]))
    for wall in room["walls"]:
        axis, sign = "xy".index(wall["side"][0]), 1.0 if wall["side"][1] == "+" else -1.0
        outwards = np.zeros(3)
        outwards[axis] = sign
        up = np.array([0.0, 0, 1])
        along = np.cross(up, -outwards)  # so that from inside the corners turn against the clock
        foot = outwards * half + up * low
        corners = [foot - along * half, foot + along * half]
        corners += [corners[1] + up * height, corners[0] + up * height]
        yield Plane(f"wall_{'xy'[axis]}{'pos' if sign > 0 else 'neg'}", WALL_ID, np.array(corners), -outwards)
