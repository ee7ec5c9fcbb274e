"""The names under which a server answers. They keep out foreign names that are made to point here (DNS rebinding).

A browser sends in `Host` what is in its address line, and in `Origin` whose page sends the request. The owner of a name
can make it point anywhere; nobody can do so with an IP address.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from pipelines.errors import UsageError

ANY = "any"
_PORTS = {"http": 80, "https": 443}
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::(\d{1,5}))?")


@dataclass(frozen=True)
class Hosts:
    """The names that are served. Loopback names and addresses always are.

    own: the names and addresses that the server listens at.
    allowed: the names that its owner added.
    addresses: every IP address is served, because the server listens at all addresses of its machine.
    any_name: `Host` is not checked.
    """

    own: frozenset[str] = frozenset()
    allowed: frozenset[str] = frozenset()
    addresses: bool = False
    any_name: bool = False

    @classmethod
    def of(cls, host: str, bound: str, allow: Iterable[str]) -> Hosts:
        """host: where the owner asked it to listen. bound: the address that this became. allow: names, addresses or
        `any`. Raises UsageError."""
        allowed = {one if one == ANY else plain_name(one) for one in allow}
        everywhere = ip_address(bound).is_unspecified
        machine = socket.gethostname().lower()
        own = {machine, f"{machine}.local"} if everywhere else {plain_name(host.partition("%")[0]), bound}
        return cls(frozenset(own), frozenset(allowed - {ANY}), everywhere, ANY in allowed)

    def serves(self, host: str) -> bool:
        """host: the header, with or without a port."""
        name = name_of(host)
        return name is not None and (self.any_name or self._knows(name))

    def sends(self, origin: str, host: str) -> bool:
        """Whether a page of that origin is this server's own.

        It is if its name and port are those that the request is sent to. It is also if its name is one that the owner
        allowed, because a proxy may have changed the header `Host`. `null` is not.
        """
        scheme, _, authority = origin.lower().partition("://")
        source, target = _parsed(authority), _parsed(host)
        if scheme not in _PORTS or source is None or target is None:
            return False
        usual = _PORTS[scheme]
        return source[0] in self.allowed or (source[0], source[1] or usual) == (target[0], target[1] or usual)

    def described(self) -> str:
        """The served names, for the person who starts the server."""
        if self.any_name:
            return "any name, also one of another site that is made to point here"
        others = sorted(name for name in self.own | self.allowed if not _is_loopback(name))
        return ", ".join(["localhost", *others, *(["any IP address"] if self.addresses else [])])

    def _knows(self, name: str) -> bool:
        if name in self.own | self.allowed or _is_loopback(name):
            return True
        return self.addresses and _address(name) is not None


LOOPBACK = Hosts()


def plain_name(given: str) -> str:
    """A name or address as browsers write it: lower case, in ASCII, without brackets.

    Raises UsageError for anything else, such as what has a scheme, a port or an asterisk.
    """
    name = given.strip("[]").lower()
    try:
        ascii_name = str(_address(name) or name.encode("idna").decode())
    except UnicodeError:
        ascii_name = ""
    plain = name_of(url_host(ascii_name))
    if plain is None:
        raise UsageError(
            f"--allow-host takes a name or address without scheme and port, as fixer.example, or {ANY}; not {given!r}"
        )
    return plain


def url_host(name: str) -> str:
    """A name or address as it is written in a URL."""
    return f"[{name}]" if ":" in name else name


def name_of(authority: str) -> str | None:
    """The name in a header `Host` or at the end of an `Origin`, without the port. None for what no browser sends."""
    parsed = _parsed(authority)
    return parsed[0] if parsed else None


def _parsed(authority: str) -> tuple[str, int | None] | None:
    match = _AUTHORITY.fullmatch(authority.lower())
    if match is None:
        return None
    name = match[1].strip("[]").removesuffix(".")
    address = _address(name)
    if match[1].startswith("[") and not isinstance(address, IPv6Address):
        return None
    return str(address or name), int(match[2]) if match[2] else None


def _address(name: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(name)
    except ValueError:
        return None


def _is_loopback(name: str) -> bool:
    address = _address(name)
    return address.is_loopback if address else name == "localhost" or name.endswith(".localhost")
