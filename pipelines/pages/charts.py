"""Line charts as inline SVG. The values of every point stand in it, for the script that shows them under the pointer.

Shapes: N points.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

import numpy as np

from pipelines.pages.markup import element

MOST_POINTS = 300  # of a line; more are averaged to so many
_WIDTH, _HEIGHT = 400, 230  # of the drawing, in its own units
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 10, 24  # margins for the ticks
_TICKS = 4
_WIDE_RANGE = 30  # from the smallest to the largest value


@dataclass(frozen=True)
class Line:
    """x_N, y_N: its points; those that are not finite are left out.

    colour: 0 to 5, see page.css. style: "line"; "points" marks each of them; "dashed" is what others are compared with;
    "faint" is behind the others and not named.
    """

    name: str
    x_N: np.ndarray
    y_N: np.ndarray
    colour: int = 0
    style: str = "line"

    def thinned(self) -> Line:
        """Without points that are not finite, and with at most MOST_POINTS, which are means of neighbours."""
        finite_N = np.isfinite(self.x_N) & np.isfinite(self.y_N)
        x_N, y_N = self.x_N[finite_N], self.y_N[finite_N]
        if len(x_N) > MOST_POINTS:
            x_N, y_N = (np.array([part.mean() for part in np.array_split(v, MOST_POINTS)]) for v in (x_N, y_N))
        return Line(self.name, x_N, y_N, self.colour, self.style)


def line_chart(
    title: str, lines: Sequence[Line], x_name: str = "step", log: bool = False, x_from: float | None = 0
) -> Element | None:
    """A chart with a legend; None if no line has a point.

    log: logarithmic, as it is without being asked for if the values span a wide range; not if one is 0 or negative.
    x_from: where the horizontal axis begins at the latest; None for the first point.
    """
    drawn = [line for line in (line.thinned() for line in lines) if len(line.x_N)]
    if not drawn:
        return None
    x_N, y_N = (np.concatenate([getattr(line, axis) for line in drawn]) for axis in ("x_N", "y_N"))
    x_N = x_N if x_from is None else np.append(x_N, x_from)
    log = y_N.min() > 0 and (log or y_N.max() > _WIDE_RANGE * y_N.min())
    horizontal, vertical = _Axis.of(x_N, _LEFT, _WIDTH - _RIGHT), _Axis.of(y_N, _HEIGHT - _BOTTOM, _TOP, log)
    svg = element(
        "svg",
        *_grid(horizontal, vertical, x_name),
        *(_path(line, horizontal, vertical) for line in drawn),
        element("line", class_="cursor", y1=_TOP, y2=_HEIGHT - _BOTTOM),
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
        aria_label=title,
    )
    named = [line for line in drawn if line.style != "faint"]
    legend = element("figcaption", *(_key(line) for line in named), class_="legend")
    return element("figure", element("h4", title), svg, legend, class_="chart", data_x=x_name)


@dataclass(frozen=True)
class _Axis:
    """Values from `low` to `high` lie between the coordinates `first` and `last`."""

    low: float
    high: float
    first: float
    last: float
    log: bool = False

    @classmethod
    def of(cls, values: np.ndarray, first: float, last: float, log: bool = False) -> _Axis:
        low, high = float(values.min()), float(values.max())
        if high - low <= 1e-9 * abs(high):  # a single value: some room around it
            low, high = (low / 1.5, high * 1.5) if log else (low - 0.5 * (abs(low) or 1), high + 0.5 * (abs(high) or 1))
        return cls(low, high, first, last, log)

    def place(self, values: np.ndarray) -> np.ndarray:
        low, high, at = (
            (np.log(v) for v in (self.low, self.high, values)) if self.log else (self.low, self.high, values)
        )
        return self.first + (at - low) / (high - low) * (self.last - self.first)

    def ticks(self) -> np.ndarray:
        """Round numbers within the axis: of a logarithmic one 1, 2 and 5 times powers of ten, or fewer."""
        if self.log:
            powers = 10.0 ** np.arange(math.floor(math.log10(self.low)), math.log10(self.high) + 1)
            for digits in ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0)):
                marks = np.outer(powers, digits).ravel()
                marks = marks[(marks >= self.low) & (marks <= self.high)]
                if len(marks) > 2:
                    return marks[:: 1 + len(marks) // (2 * _TICKS)]
        rough = (self.high - self.low) / _TICKS
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * digit for digit in (1, 2, 2.5, 5, 10) if power * digit >= rough)
        marks = step * np.arange(math.ceil(self.low / step), math.floor(self.high / step) + 1)
        return marks[marks > 0] if self.log else marks


def _grid(horizontal: _Axis, vertical: _Axis, x_name: str) -> list[Element]:
    bottom = _HEIGHT - _BOTTOM
    marks: list[Element] = []
    for value, y in zip(vertical.ticks(), vertical.place(vertical.ticks()), strict=True):
        marks.append(element("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=f"{y:.1f}", y2=f"{y:.1f}", class_="grid"))
        marks.append(element("text", _short(value), x=_LEFT - 6, y=f"{y + 4:.1f}", class_="y"))
    for value, x in zip(horizontal.ticks(), horizontal.place(horizontal.ticks()), strict=True):
        if x < _WIDTH - _RIGHT - 40:  # where the name of the axis stands
            marks.append(element("text", _short(value), x=f"{x:.1f}", y=bottom + 16, class_="x"))
    marks.append(element("text", x_name, x=_WIDTH - _RIGHT, y=bottom + 16, class_="y"))
    return marks


def _path(line: Line, horizontal: _Axis, vertical: _Axis) -> Element:
    x_N, y_N = horizontal.place(line.x_N), vertical.place(line.y_N)
    points = [f"{x:.1f},{y:.1f}" for x, y in zip(x_N, y_N, strict=True)]
    values = {} if line.style == "faint" else {"data_x": _numbers(line.x_N), "data_y": _numbers(line.y_N)}
    values |= {} if line.style == "faint" else {"data_at": " ".join(f"{x:.1f}" for x in x_N)}
    drawn: list[Element] = [element("polyline", points=" ".join(points))]
    if line.style == "points" or len(points) == 1:
        drawn += [element("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=2.5) for x, y in zip(x_N, y_N, strict=True)]
    return element("g", *drawn, class_=f"series c{line.colour} {line.style}", data_name=line.name, **values)


def _key(line: Line) -> Element:
    return element("span", line.name, class_=f"key c{line.colour} {line.style}")


def _numbers(values: np.ndarray) -> str:
    return " ".join(f"{value:.6g}" for value in values)


def _short(value: float) -> str:
    """1500 as 1500, 12000 as 12k, 0.0002 as 2e-4: what fits beside an axis."""
    if abs(value) >= 10_000:
        return f"{value / 1000:g}k"
    text = f"{value:.4g}"
    if value and (abs(value) < 0.001 or "e" in text):
        digits, _, power = f"{value:.2g}".partition("e") if "e" in f"{value:.2g}" else f"{value:.1e}".partition("e")
        return f"{float(digits):g}e{int(power)}"
    return text
