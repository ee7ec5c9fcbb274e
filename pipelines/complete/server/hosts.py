"""Under which names a server may be asked: what keeps a foreign name that is made to point here (DNS rebinding) out.

A browser says in `Host` what stands in its address line, and in `Origin` whose page sends. A name can be made to point
anywhere by whoever owns it; an IP address cannot.
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
    """Loopback names and addresses are always served.

    own: the names and addresses that the server listens at. allowed: those that its owner named. addresses: every IP
    address, because it listens at all of its machine's. any_name: nothing is checked of `Host`.
    """

    own: frozenset[str] = frozenset()
    allowed: frozenset[str] = frozenset()
    addresses: bool = False
    any_name: bool = False

    @classmethod
    def of(cls, host: str, bound: str, allow: Iterable[str]) -> Hosts:
        """host: what the owner asked to listen at. bound: the address that this became. allow: names, addresses or
        `any`. Raises UsageError."""
        allowed = {one if one == ANY else plain_name(one) for one in allow}
        everywhere = ip_address(bound).is_unspecified
        machine = socket.gethostname().lower()
        own = {machine, f"{machine}.local"} if everywhere else {plain_name(host.partition("%")[0]), bound}
        return cls(frozenset(own), frozenset(allowed - {ANY}), everywhere, ANY in allowed)

    def serves(self, host: str) -> bool:
        """host: the header, with its port or without."""
        name = name_of(host)
        return name is not None and (self.any_name or self._knows(name))

    def sends(self, origin: str, host: str) -> bool:
        """Whether a page of that origin is this server's own.

        It is if it came from where it is sent to, name and port; or from a name that the owner allowed, because a
        proxy may have changed the header `Host`. Not so `null`.
        """
        scheme, _, authority = origin.lower().partition("://")
        source, target = _parsed(authority), _parsed(host)
        if scheme not in _PORTS or source is None or target is None:
            return False
        usual = _PORTS[scheme]
        return source[0] in self.allowed or (source[0], source[1] or usual) == (target[0], target[1] or usual)

    def described(self) -> str:
        """For whoever starts the server."""
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

    Raises UsageError for anything else, as what has a scheme, a port or an asterisk.
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
    """A name or address as it stands in a URL."""
    return f"[{name}]" if ":" in name else name


def name_of(authority: str) -> str | None:
    """Of a header `Host` or the end of an `Origin`, without the port. None for what no browser sends."""
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
