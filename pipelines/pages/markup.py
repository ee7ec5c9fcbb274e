"""A page as a tree of elements; the standard library's writer escapes every text in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import quote
from xml.etree.ElementTree import Element, tostring

_HERE = Path(__file__).parent


def element(tag: str, *children: Element | str, **attributes: object) -> Element:
    """`class_` is HTML's class, and an underscore in other names its hyphen; True is an attribute without a value."""
    named = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items() if value is not False}
    node = Element(tag, {name: "" if value is True else str(value) for name, value in named.items()})
    last: Element | None = None
    for child in children:
        if isinstance(child, Element):
            node.append(child)
            last = child
        elif last is None:
            node.text = (node.text or "") + child
        else:
            last.tail = (last.tail or "") + child
    return node


def link(path: str, text: str | Element) -> Element:
    """To a file below the page's folder. path: with forward slashes."""
    return element("a", text, href=quote(path))


def image(path: str, description: str, **attributes: object) -> Element:
    """A picture below the page's folder, which opens alone when it is clicked."""
    return link(path, element("img", src=quote(path), alt=description, loading="lazy", **attributes))


def table(heads: Sequence[str], rows: Iterable[Sequence[Element | str]], class_: str = "") -> Element:
    """In a box that scrolls if the window is narrower than the table."""
    head = element("thead", element("tr", *(element("th", text) for text in heads)))
    body = element("tbody", *(element("tr", *(element("td", cell) for cell in row)) for row in rows))
    return element("div", element("table", head, body, class_=class_), class_="scroll")


def details(summary: str, *children: Element | str) -> Element:
    """What is shown when its summary is clicked."""
    return element("details", element("summary", summary), *children)


def page(title: str, *body: Element) -> str:
    """A whole HTML file, with its style and script inside."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", (_HERE / "page.css").read_text()),
    )
    script = element("script", (_HERE / "page.js").read_text())
    document = element("html", head, element("body", *body, script), lang="en")
    return f"<!doctype html>\n{tostring(document, encoding='unicode', method='html')}\n"
