"""The HTTP application: the page, and JSON about jobs.

Errors are JSON, {"error": a sentence}. Whose requests are served at all is decided by `guard`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from pipelines.complete.server.guard import Guard
from pipelines.complete.server.hosts import LOOPBACK, Hosts
from pipelines.complete.server.job_routes import JOB_ROUTES
from pipelines.complete.server.limits import MISTAKE, Refused
from pipelines.complete.server.page_routes import PAGE_ROUTES
from pipelines.complete.server.service import Service


def application(service: Service, hosts: Hosts = LOOPBACK) -> Starlette:
    """Starts the worker when it starts, and stops it at its end. hosts: the names under which it answers."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        service.worker.start()
        yield
        service.worker.stop()

    app = Starlette(
        routes=[*PAGE_ROUTES, *JOB_ROUTES],
        lifespan=lifespan,
        middleware=[Middleware(Guard, hosts)],
        exception_handlers={Refused: _refused, HTTPException: _refused, ClientDisconnect: _gone, Exception: _mistake},
    )
    app.state.service = service
    return app


async def _refused(_: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):  # of the routes: no such address, or not by this method
        return JSONResponse({"error": f"{error.detail}."}, error.status_code, error.headers)
    return JSONResponse({"error": str(error)}, error.status if isinstance(error, Refused) else 500)


async def _gone(_: Request, __: Exception) -> Response:
    """A client that left in the middle of an upload gets no answer, and that is no mistake of ours."""
    return Response(status_code=400)


async def _mistake(_: Request, __: Exception) -> Response:
    return JSONResponse({"error": MISTAKE}, 500)
