"""Shader nodes as arithmetic: a Signal is an output socket that can be added, multiplied and used by textures.

Nothing here imports bpy; a Canvas gets the node tree to which it adds nodes.
"""

from dataclasses import dataclass
from typing import Any, Union

Number = Union["Signal", float]
Colour = Union["Signal", tuple[float, float, float]]
WHITE = (1.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Signal:
    """One value at every point of a surface: a float, a vector or a colour."""

    canvas: "Canvas"
    socket: Any

    def __add__(self, other: Number) -> "Signal":
        return self.canvas.math("ADD", self, other)

    def __sub__(self, other: Number) -> "Signal":
        return self.canvas.math("SUBTRACT", self, other)

    def __rsub__(self, other: Number) -> "Signal":
        return self.canvas.math("SUBTRACT", other, self)

    def __mul__(self, other: Number) -> "Signal":
        return self.canvas.math("MULTIPLY", self, other)

    def __truediv__(self, other: Number) -> "Signal":
        return self.canvas.math("DIVIDE", self, other)

    __radd__, __rmul__ = __add__, __mul__

    def floor(self) -> "Signal":
        return self.canvas.math("FLOOR", self)

    def fract(self) -> "Signal":
        return self.canvas.math("FRACT", self)

    def abs(self) -> "Signal":
        return self.canvas.math("ABSOLUTE", self)

    def sin(self) -> "Signal":
        return self.canvas.math("SINE", self)

    def sqrt(self) -> "Signal":
        return self.canvas.math("SQRT", self)

    def power(self, exponent: float) -> "Signal":
        return self.canvas.math("POWER", self, exponent)

    def modulo(self, period: float) -> "Signal":
        """Remainder that is never negative."""
        return self.canvas.math("FLOORED_MODULO", self, period)

    def minimum(self, other: Number) -> "Signal":
        return self.canvas.math("MINIMUM", self, other)

    def maximum(self, other: Number) -> "Signal":
        return self.canvas.math("MAXIMUM", self, other)

    def less_than(self, other: Number) -> "Signal":
        """1 where smaller, else 0."""
        return self.canvas.math("LESS_THAN", self, other)

    def smooth_step(self, low: float, high: float) -> "Signal":
        """0 below low, 1 above high, smooth between; falling if low > high."""
        if low > high:
            return 1.0 - self.smooth_step(high, low)
        return self.canvas.remap(self, low, high, 0.0, 1.0, smooth=True)

    def remap(self, low: float, high: float, to_low: float, to_high: float) -> "Signal":
        """Linear map of [low, high] to [to_low, to_high], clamped."""
        return self.canvas.remap(self, low, high, to_low, to_high)

    def edge_distance(self) -> "Signal":
        """Of a fraction in [0, 1]: the distance to the nearer end."""
        return self.minimum(1.0 - self)


class Canvas:
    """Adds nodes to a shader node tree.

    x, y: the plane's own coordinates in metres, after the material's scale, rotation and a random offset.
    uv: the same as a vector.
    """

    def __init__(self, node_tree: Any) -> None:
        self.tree = node_tree
        self.uv: Signal
        self.x: Signal
        self.y: Signal

    def set_coordinates(self, uv: Signal) -> None:
        self.uv = uv
        self.x, self.y, _ = self.split(uv)

    def node(self, kind: str, **settings: Any) -> Any:
        """A new shader node, e.g. node("TexNoise", noise_dimensions="3D")."""
        node = self.tree.nodes.new(f"ShaderNode{kind}")
        for name, value in settings.items():
            setattr(node, name, value)
        return node

    def feed(self, socket: Any, value: Any) -> None:
        """Link a signal to an input, or set its constant."""
        if isinstance(value, Signal):
            self.tree.links.new(value.socket, socket)
        elif isinstance(value, tuple) and socket.type == "RGBA":
            socket.default_value = (*value, 1.0)
        else:
            socket.default_value = value

    def out(self, node: Any, name: str | int = 0) -> Signal:
        return Signal(self, node.outputs[name])

    def math(self, operation: str, a: Number, b: Number = 0.0) -> Signal:
        node = self.node("Math", operation=operation)
        self.feed(node.inputs[0], a)
        self.feed(node.inputs[1], b)
        return self.out(node)

    def remap(
        self, value: Number, low: float, high: float, to_low: float, to_high: float, smooth: bool = False
    ) -> Signal:
        node = self.node("MapRange", interpolation_type="SMOOTHSTEP" if smooth else "LINEAR", clamp=True)
        for name, given in (
            ("Value", value),
            ("From Min", low),
            ("From Max", high),
            ("To Min", to_low),
            ("To Max", to_high),
        ):
            self.feed(node.inputs[name], given)
        return self.out(node, "Result")

    def vector(self, x: Number, y: Number, z: Number = 0.0) -> Signal:
        node = self.node("CombineXYZ")
        for socket, value in zip(node.inputs, (x, y, z), strict=True):
            self.feed(socket, value)
        return self.out(node)

    def split(self, vector: Signal) -> tuple[Signal, Signal, Signal]:
        node = self.node("SeparateXYZ")
        self.feed(node.inputs[0], vector)
        return self.out(node, 0), self.out(node, 1), self.out(node, 2)

    def random(self, *ids: Number) -> Signal:
        """White noise in [0, 1] of up to three whole numbers (the id of a plank, a tile, a brick)."""
        node = self.node("TexWhiteNoise", noise_dimensions="3D")
        # Whole numbers are on the borders of cells, where rounding could change the hash.
        shifted = [i + 0.37 for i in (*ids, 0.0, 0.0, 0.0)[:3]]
        self.feed(node.inputs["Vector"], self.vector(*shifted))
        return self.out(node, "Value")

    def noise(
        self,
        scale: float,
        detail: float = 2.0,
        roughness: float = 0.5,
        at: Signal | None = None,
        distortion: float = 0.0,
    ) -> Signal:
        """Fractal noise in [0, 1], mean 0.5; `scale` in periods a metre."""
        node = self.node("TexNoise", noise_dimensions="3D" if at is not None else "2D")
        for name, value in (
            ("Vector", at if at is not None else self.uv),
            ("Scale", scale),
            ("Detail", detail),
            ("Roughness", roughness),
            ("Distortion", distortion),
        ):
            self.feed(node.inputs[name], value)
        return self.out(node, "Fac" if "Fac" in node.outputs else "Factor")

    def cells(
        self, scale: float, at: Signal | None = None, feature: str = "F1", randomness: float = 1.0
    ) -> tuple[Signal, Signal]:
        """(distance, random value of the cell) of Voronoi cells, `scale` cells a metre; distance in cell sizes."""
        node = self.node("TexVoronoi", voronoi_dimensions="2D", feature=feature)
        for name, value in (("Vector", at or self.uv), ("Scale", scale), ("Randomness", randomness)):
            self.feed(node.inputs[name], value)
        if feature == "DISTANCE_TO_EDGE":
            return self.out(node, "Distance"), self.out(node, "Distance")
        red, _, _ = self.split(self.out(node, "Color"))
        return self.out(node, "Distance"), red

    def mix(self, factor: Number, a: Colour, b: Colour) -> Signal:
        """Colour a at factor 0, b at 1."""
        node = self.node("Mix", data_type="RGBA", clamp_factor=True)
        self.feed(node.inputs[0], factor)
        self.feed(node.inputs[6], a)
        self.feed(node.inputs[7], b)
        return self.out(node, 2)

    def choose(self, condition: Signal, if_zero: Number, if_one: Number) -> Signal:
        """Float if_zero where condition is 0, if_one where it is 1."""
        node = self.node("Mix", data_type="FLOAT", clamp_factor=True)
        self.feed(node.inputs[0], condition)
        self.feed(node.inputs[2], if_zero)
        self.feed(node.inputs[3], if_one)
        return self.out(node, 0)

    def shade(self, colour: Colour, factor: Number) -> Signal:
        """The colour made lighter or darker: each channel times `factor`."""
        node = self.node("VectorMath", operation="SCALE")
        self.feed(node.inputs[0], colour)
        self.feed(node.inputs["Scale"], factor)
        return self.out(node)

    def ramp(self, value: Signal, *stops: tuple[float, tuple[float, float, float]]) -> Signal:
        """Colours at positions in [0, 1], linear between."""
        node = self.node("ValToRGB")
        elements = node.color_ramp.elements
        while len(elements) < len(stops):
            elements.new(0.5)
        for element, (position, colour) in zip(elements, stops, strict=True):
            element.position, element.color = position, (*colour, 1.0)
        self.feed(node.inputs[0], value)
        return self.out(node, "Color")


@dataclass(frozen=True, slots=True)
class Surface:
    """What a material family returns: the inputs of a principled shader, and relief.

    color: linear RGB. height_m: relief along the normal, metres, for bump.
    """

    color: Colour
    roughness: Number
    height_m: Signal | None = None
    metallic: Number = 0.0
    coat: Number = 0.0
    sheen: Number = 0.0
