"""No circle of imports, neither of files nor of rooms, and the floors of `scenegen` from the ground up."""

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

import pytest
from source_imports import modules, project_imports

# From the ground up: (rooms of one floor, why they stand there). A room imports itself and floors below, never a
# neighbour on its floor. Rooms below a room belong to it, unless they stand here themselves.
FLOORS = (
    (("", "errors", "bullet"), "what every room may need: version, errors for people, a quiet pybullet"),
    (("config",), "what a dataset is made of and how it is computed"),
    (("contract",), "the format is the seam to the training half, and knows nothing of how rows are made"),
    (("loading",), "the contract's views as PyTorch samples, for people with networks of their own"),
    (("assets",), "prepared models are read and verified without a scene"),
    (("layout",), "a scene on paper needs its models' shapes, and no renderer"),
    (("blender",), "draws what layout describes"),
    (("shards",), "writes rows, whoever computed them"),
    (("jobs",), "processes, Ray and arrays for any kind of work; its reports go into tables of shards"),
    (("scenes",), "one scene from its index to its spooled rows, in a worker"),
    (("planning",), "measures on trial scenes what a dataset will cost"),
    (("rendering", "annotate", "assets.preparing"), "each runs one kind of job from beginning to end"),
    (("objects",), "one more such job; its networks use the weights and devices of annotate"),
    (("verify", "view", "export"), "look at what the jobs have left, or hand it on"),
    (("hub",), "publishes what verify finds good"),
    (("commands",), "options, one file a command"),
    (("cli",), "the command line"),
)
PARENTS = {module.rpartition(".")[0] or module for module, file in modules().items() if file.name == "__init__.py"}


def test_no_files_import_each_other_in_a_circle():
    assert _circle(project_imports()) == ""


def test_a_circle_is_found_and_named():
    assert _circle({"a": ["b"], "b": ["c"], "c": ["b"]}) in ("b imports c imports b", "c imports b imports c")


@pytest.mark.parametrize("parent", sorted(PARENTS - {"scenegen"}))  # the rooms of scenegen have floors
def test_no_rooms_side_by_side_import_each_other_in_a_circle(parent: str):
    """Rooms are folders. The files beside them are not held: some use the rooms, others are what the rooms share."""
    rooms: dict[str, set[str]] = {}
    for module, targets in project_imports().items():
        if room := _room_in(parent, module):
            rooms.setdefault(room, set()).update(r for target in targets if (r := _room_in(parent, target)))
    assert _circle({room: targets - {room} for room, targets in rooms.items()}) == ""


def test_every_room_of_scenegen_imports_only_floors_below():
    floor_of = {f"scenegen.{room}".rstrip("."): i for i, (rooms, _) in enumerate(FLOORS) for room in rooms}

    def room_of(module: str) -> str:
        """The innermost room that stands in FLOORS; "scenegen" itself for what stands nowhere."""
        while module not in floor_of:
            module = module.rpartition(".")[0]
        return module

    upwards = [
        f"{module} ({room_of(module)}) imports {target} ({room_of(target)})"
        for module, targets in project_imports().items()
        for target in sorted(targets)
        if module.startswith("scenegen.") and target.startswith("scenegen")  # the front door itself opens rooms, lazily
        if room_of(module) != room_of(target) and floor_of[room_of(target)] >= floor_of[room_of(module)]
    ]
    assert upwards == [], "\n".join(["imports of the same or a higher floor:", *upwards])


def test_every_room_of_scenegen_has_its_floor():
    rooms = {module.split(".")[1] for module in modules() if module.startswith("scenegen.")}
    assert rooms == {room.split(".")[0] for names, _ in FLOORS for room in names if room}


def _room_in(parent: str, module: str) -> str | None:
    """The folder of a parent folder that a module lies in, if it does."""
    room = module.removeprefix(f"{parent}.").split(".")[0]
    name = f"{parent}.{room}"
    return name if module.startswith(f"{parent}.") and modules()[name].name == "__init__.py" else None


def _circle(imports: Mapping[str, Iterable[str]]) -> str:
    """A circle in words; "" if there is none."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return " imports ".join(reversed(error.args[1]))
    return ""
