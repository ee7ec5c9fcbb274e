"""What the requests of one application share, and how a handler gets at it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from pipelines.complete.server.clicks import Clicker
from pipelines.complete.server.examples import Examples
from pipelines.complete.server.jobs import Job, JobStore
from pipelines.complete.server.limits import Limits, Refused
from pipelines.complete.server.worker import Worker


@dataclass(frozen=True)
class Service:
    """examples, clicker: None where the server has none."""

    store: JobStore
    worker: Worker
    limits: Limits
    examples: Examples | None = None
    clicker: Clicker | None = None


def service_of(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def requested_job(request: Request) -> Job:
    """The job that the address names. Raises Refused."""
    return service_of(request).store.get(request.path_params["job_id"])


async def body_of(request: Request) -> bytes:
    """The content, measured while it arrives. Raises Refused for more than the limit."""
    limits = service_of(request).limits
    announced = request.headers.get("content-length", "0")
    limits.check_size(int(announced) if announced.isdigit() else 0)
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        limits.check_size(len(content))
    return bytes(content)


async def json_of(request: Request) -> Any:
    """Raises Refused."""
    try:
        return json.loads(await body_of(request))
    except (ValueError, RecursionError) as error:
        raise Refused(400, "The request is no JSON.") from error
