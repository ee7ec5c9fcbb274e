"""Middleware that checks every request: it must be for a name of this server, and not from a page of another site."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipelines.complete.server.hosts import Hosts, name_of
from pipelines.complete.server.limits import Refused

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
OTHER_SITE = "Requests from pages of other sites are not served."
READING = ("GET", "HEAD", "OPTIONS")


class Guard:
    """Adds the security headers. Refuses foreign names, and requests that pages of other sites send (CSRF)."""

    def __init__(self, app: ASGIApp, hosts: Hosts) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *((k.encode(), v.encode()) for k, v in HEADERS.items())]
            await send(message)

        try:
            check(scope.get("method", ""), Headers(scope=scope), self._hosts)
        except Refused as refused:
            answer = JSONResponse({"error": str(refused)}, refused.status)
            await answer(scope, receive, send_guarded)
            return
        await self._app(scope, receive, send_guarded)


def check(method: str, headers: Headers, hosts: Hosts) -> None:
    """Raises Refused. Requests without Origin and Sec-Fetch-Site are served: they come from no page, but from curl."""
    names = headers.getlist("host")
    name = name_of(names[0]) if len(names) == 1 else None
    if name is None:
        raise Refused(400, "The request does not say for which host it is.")
    if not hosts.serves(names[0]):
        raise Refused(421, f"This server does not answer to the name {name}. {_remedy(name)}")
    if method in READING:
        return
    for origin in headers.getlist("origin"):
        if not hosts.sends(origin, names[0]):
            name = name_of(origin.partition("://")[2])
            raise Refused(403, f"{OTHER_SITE} {_remedy(name)}" if name else OTHER_SITE)
    if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        raise Refused(403, OTHER_SITE)


def _remedy(name: str) -> str:
    return f"If {name} is meant to lead here, as through a proxy, start it with --allow-host {name}"
