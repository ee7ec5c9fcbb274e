"""What a page of results refers to."""

from html.parser import HTMLParser
from urllib.parse import unquote


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag, attrs):
        self.found |= {unquote(value) for name, value in attrs if name in ("href", "src")}


def links_of(html: str) -> set[str]:
    """Paths of links and pictures, and #NAME for places of the page itself."""
    parser = _Links()
    parser.feed(html)
    return parser.found
