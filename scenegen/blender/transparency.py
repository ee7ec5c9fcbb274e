"""Turns transparent surfaces into holes, so that the exact passes show the first opaque surface behind them.

The opacity of a surface at a point is the share of the light from behind that its shader blocks: alpha
(1 - transmission (1 - metallic)) for a principled shader, 0 for glass and refraction, 1 - the grey value of its colour
for a transparent shader, 1 for any other. Where shaders are mixed, opacities are mixed; where they are added, their
transparencies are added. Tint, roughness, Fresnel and volumes do not count. Below an opacity of one half the surface is
a hole, and the ray continues straight.

The shaders decide this before a ray is cast: Cycles itself lets rays pass half-transparent surfaces by chance.
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

import bpy

from scenegen.blender.materials.shader_nodes import Canvas, Number, Signal

OPAQUE = 0.5
"""The lowest opacity of a visible surface. It cuts the soft outlines of leaves and hair where a cut-out would."""
_CLEAR = {"BSDF_GLASS", "BSDF_REFRACTION"}
_GREY = (0.2126, 0.7152, 0.0722)  # of linear Rec. 709, as Blender converts a colour to a number


@contextmanager
def transparent_as_holes(materials: "Iterable[bpy.types.Material]") -> Iterator[None]:
    """Within the block rays pass transparent parts of these materials; afterwards the materials are restored."""
    with ExitStack() as undo:
        for material in materials:
            _pierce(material.node_tree, undo)
        yield


def _pierce(tree: "bpy.types.NodeTree", undo: ExitStack) -> None:
    output = tree.get_output_node("CYCLES")
    if output is None or not output.inputs["Surface"].is_linked:
        return
    surface = output.inputs["Surface"]
    shader = surface.links[0].from_socket
    canvas = _canvas(tree, undo)
    opacity = _opacity(canvas, shader, undo)
    if not isinstance(opacity, Signal) and opacity >= OPAQUE:
        return
    undo.callback(tree.links.new, shader, surface)
    mix, hole = canvas.node("MixShader"), canvas.node("BsdfTransparent")
    canvas.feed(mix.inputs[0], opacity.less_than(OPAQUE) if isinstance(opacity, Signal) else 1.0)
    tree.links.new(shader, mix.inputs[1])
    tree.links.new(hole.outputs[0], mix.inputs[2])
    tree.links.new(mix.outputs[0], surface)


def _canvas(tree: "bpy.types.NodeTree", undo: ExitStack) -> Canvas:
    """A canvas for the tree; nodes that are added are removed by `undo`."""
    before = {node.name for node in tree.nodes}

    def remove() -> None:
        for node in [node for node in tree.nodes if node.name not in before]:
            tree.nodes.remove(node)

    undo.callback(remove)
    return Canvas(tree)


def _opacity(canvas: Canvas, shader: "bpy.types.NodeSocket", undo: ExitStack) -> Number:
    """The opacity of a shader output; a number if it is the same everywhere, so that few nodes are added."""
    node = shader.node
    if node.type in _CLEAR:
        return 0.0
    if node.type == "BSDF_TRANSPARENT":
        colour = node.inputs["Color"]
        if colour.is_linked:
            return 1.0 - Signal(canvas, colour.links[0].from_socket)
        return 1.0 - sum(weight * value for weight, value in zip(_GREY, colour.default_value, strict=False))
    if node.type == "BSDF_PRINCIPLED":
        names = ("Alpha", "Transmission Weight", "Metallic")
        alpha, transmission, metallic = (_value(canvas, node.inputs[name]) for name in names)
        return alpha * (1.0 - transmission * (1.0 - metallic)) if transmission else alpha
    if node.type in ("MIX_SHADER", "ADD_SHADER"):
        first, second = (_behind(canvas, socket, undo) for socket in node.inputs[-2:])
        if first == second == 1.0:
            return 1.0
        if node.type == "ADD_SHADER":
            return canvas.math("MAXIMUM", first + second - 1.0, 0.0)
        share = _value(canvas, node.inputs[0])
        return (1.0 - share) * first + share * second
    if node.type == "REROUTE":
        return _behind(canvas, node.inputs[0], undo)
    if node.type == "GROUP" and node.node_tree:
        return _of_group(canvas, node, shader, undo)
    return 1.0


def _behind(canvas: Canvas, socket: "bpy.types.NodeSocket", undo: ExitStack) -> Number:
    """The opacity of the shader that is linked to an input."""
    return _opacity(canvas, socket.links[0].from_socket, undo) if socket.is_linked else 1.0


def _of_group(canvas: Canvas, node: "bpy.types.Node", shader: "bpy.types.NodeSocket", undo: ExitStack) -> Number:
    """The opacity of a node group, computed inside it and passed on through an additional output."""
    inner = node.node_tree
    end = next((n for n in inner.nodes if n.type == "GROUP_OUTPUT" and n.is_active_output), None)
    if end is None:
        return 1.0
    opacity = _behind(_canvas(inner, undo), _identified(end.inputs, shader.identifier), undo)
    if not isinstance(opacity, Signal):
        return opacity
    output = inner.interface.new_socket("opacity", in_out="OUTPUT", socket_type="NodeSocketFloat")
    undo.callback(inner.interface.remove, output)
    inner.links.new(opacity.socket, _identified(end.inputs, output.identifier))
    return Signal(canvas, _identified(node.outputs, output.identifier))


def _identified(sockets: "Iterable[bpy.types.NodeSocket]", identifier: str) -> "bpy.types.NodeSocket":
    return next(socket for socket in sockets if socket.identifier == identifier)


def _value(canvas: Canvas, socket: "bpy.types.NodeSocket") -> Number:
    return Signal(canvas, socket.links[0].from_socket) if socket.is_linked else float(socket.default_value)
