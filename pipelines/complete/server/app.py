"""The HTTP interface: a page, and JSON about jobs. Everything that a request needs hangs at the application.

Errors are JSON, {"error": a sentence}. Who may ask is in `guard`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from pipelines.complete.inputs.from_dataset import GROUND_TRUTH
from pipelines.complete.server import uploads
from pipelines.complete.server.clicks import Clicker
from pipelines.complete.server.examples import Examples
from pipelines.complete.server.guard import Guard
from pipelines.complete.server.hosts import LOOPBACK, Hosts
from pipelines.complete.server.jobs import Job, JobStore
from pipelines.complete.server.limits import MISTAKE, Limits, Refused
from pipelines.complete.server.requests import request_of
from pipelines.complete.server.stages import RESULT, STAGES
from pipelines.complete.server.worker import Worker

PAGE = Path(__file__).parent / "page"
SCRIPTS = ("app", "api", "coco", "depth", "examples", "glb", "masks", "matrix", "objects", "viewer")
PAGE_FILES = {
    "": ("index.html", "text/html"),
    "style.css": ("style.css", "text/css"),
    "icon.svg": ("icon.svg", "image/svg+xml"),
    **{f"{name}.js": (f"{name}.js", "text/javascript") for name in SCRIPTS},
}
RESULT_FILES = {
    **{f"{stage}.glb": "model/gltf-binary" for stage in (*STAGES, RESULT)},
    "splats.ply": "application/octet-stream",
    "report.json": "application/json",
}


@dataclass(frozen=True)
class Service:
    """What the requests of one application share. examples, clicker: None where the server has none."""

    store: JobStore
    worker: Worker
    limits: Limits
    examples: Examples | None = None
    clicker: Clicker | None = None


def application(service: Service, hosts: Hosts = LOOPBACK) -> Starlette:
    """Starts the worker with itself and stops it at its end. hosts: the names under which it may be asked."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        service.worker.start()
        yield
        service.worker.stop()

    routes = [
        Route("/", _page),
        Route("/page/{name}", _page),
        Route("/api/about", _about),
        Route("/api/jobs", _upload, methods=["POST"]),
        Route("/api/examples", _examples),
        Route("/api/examples/{number:int}", _example, methods=["POST"]),
        Route("/api/examples/{number:int}/thumbnail", _thumbnail),
        Route("/api/jobs/{job_id}", _job, methods=["GET", "DELETE"]),
        Route("/api/jobs/{job_id}/image", _image),
        Route("/api/jobs/{job_id}/masks", _masks, methods=["GET", "PUT"]),
        Route("/api/jobs/{job_id}/click", _click, methods=["POST"]),
        Route("/api/jobs/{job_id}/depth", _depth, methods=["PUT"]),
        Route("/api/jobs/{job_id}/complete", _complete, methods=["POST"]),
        Route("/api/jobs/{job_id}/cancel", _cancel, methods=["POST"]),
        Route("/api/jobs/{job_id}/files/{name}", _file),
    ]
    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        middleware=[Middleware(Guard, hosts)],
        exception_handlers={Refused: _refused, HTTPException: _refused, ClientDisconnect: _gone, Exception: _mistake},
    )
    app.state.service = service
    return app


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _asked_job(request: Request) -> Job:
    return _service(request).store.get(request.path_params["job_id"])


def _asked_examples(request: Request) -> Examples:
    examples = _service(request).examples
    if examples is None:
        raise Refused(404, "This server was started without --shards, so it has no examples.")
    return examples


async def _refused(_: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):  # of the routes: no such address, or not by this method
        return JSONResponse({"error": f"{error.detail}."}, error.status_code, error.headers)
    return JSONResponse({"error": str(error)}, error.status if isinstance(error, Refused) else 500)


async def _gone(_: Request, __: Exception) -> Response:
    """Whoever left in the middle of an upload gets no answer, and that is no mistake of ours."""
    return Response(status_code=400)


async def _mistake(_: Request, __: Exception) -> Response:
    return JSONResponse({"error": MISTAKE}, 500)


async def _body(request: Request) -> bytes:
    """The content, counted while it comes. Raises Refused."""
    limits = _service(request).limits
    announced = request.headers.get("content-length", "0")
    limits.check_size(int(announced) if announced.isdigit() else 0)
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        limits.check_size(len(content))
    return bytes(content)


async def _json(request: Request) -> Any:
    """Raises Refused."""
    try:
        return json.loads(await _body(request))
    except (ValueError, RecursionError) as error:
        raise Refused(400, "The request is no JSON.") from error


async def _page(request: Request) -> Response:
    name = request.path_params.get("name", "")
    if name not in PAGE_FILES:
        raise Refused(404, "There is no such page.")
    file, media_type = PAGE_FILES[name]
    return FileResponse(PAGE / file, media_type=media_type)


async def _about(request: Request) -> Response:
    service = _service(request)
    examples = service.examples
    return JSONResponse(
        {
            "checkpoint": service.worker.pipe.networks.title,
            "device": str(service.worker.pipe.compute.device),
            "steps": service.worker.pipe.networks.samplers.coarse.steps,
            "guidance": service.worker.pipe.networks.samplers.coarse.guidance,
            "estimator": None if service.worker.estimator is None else service.worker.estimator.facts.name,
            "segmenter": None if service.clicker is None else service.clicker.name,
            "examples": 0 if examples is None else examples.count,
            "example_depths": [] if examples is None else list(examples.depths),
            "limits": {
                "upload_bytes": service.limits.upload_bytes,
                "pixels": service.limits.pixels,
                "instances": service.limits.instances,
                "steps": service.limits.steps,
            },
        }
    )


async def _upload(request: Request) -> Response:
    service, content = _service(request), await _body(request)

    def make() -> Job:
        job = service.store.create()
        try:
            rgb_HW3 = uploads.image_from(content, job.folder, service.limits)
        except Refused:
            service.store.delete(job)
            raise
        job.keep("rgb", rgb_HW3)
        job.size_px = rgb_HW3.shape[1], rgb_HW3.shape[0]
        job.origin = {"image": "uploaded", "masks": "drawn or uploaded", "depth": ""}
        return job

    return JSONResponse((await run_in_threadpool(make)).described(), 201)


async def _examples(request: Request) -> Response:
    examples, first = _asked_examples(request), request.query_params.get("first", "0")
    if not first.isdecimal():
        raise Refused(400, "The first example must be a number.")
    rows = await run_in_threadpool(examples.page, int(first[:12]))
    return JSONResponse({"count": examples.count, "rows": [asdict(row) for row in rows]})


async def _thumbnail(request: Request) -> Response:
    webp = await run_in_threadpool(_asked_examples(request).thumbnail, request.path_params["number"])
    return Response(webp, media_type="image/webp")


async def _example(request: Request) -> Response:
    examples, store = _asked_examples(request), _service(request).store
    number, depth = request.path_params["number"], request.query_params.get("depth", GROUND_TRUTH)
    job = await run_in_threadpool(examples.open, number, depth, store)
    return JSONResponse(job.described(), 201)


async def _job(request: Request) -> Response:
    service, job = _service(request), _asked_job(request)
    if request.method == "DELETE":
        service.worker.cancel(job)
        await run_in_threadpool(service.store.delete, job)
        return Response(status_code=204)
    return JSONResponse({**job.described(), "jobs_before": service.worker.place(job)})


async def _image(request: Request) -> Response:
    job = _asked_job(request)
    return Response(await run_in_threadpool(lambda: uploads.image_jpeg(job.load("rgb"))), media_type="image/jpeg")


async def _masks(request: Request) -> Response:
    job = _asked_job(request)
    if request.method == "GET":
        if not job.has("ids"):
            raise Refused(404, "This job has no masks yet.")
        return Response(await run_in_threadpool(lambda: uploads.ids_png(job.load("ids"))), media_type="image/png")

    split = "split" in request.query_params

    def keep(content: bytes, limits: Limits) -> None:
        masks = uploads.masks_from(content, job.size_px, job.folder, limits, split)
        job.keep("ids", masks.ids_HW)
        job.mask_notes, job.mask_parts = masks.notes, masks.parts

    return await _take(request, job, keep, origin={"masks": "drawn or uploaded"})


async def _click(request: Request) -> Response:
    """The mask of clicked points as a picture, white on black; the job's own masks stay as they are."""
    clicker, job = _service(request).clicker, _asked_job(request)
    if clicker is None:
        raise Refused(404, "This server has no segmenter; draw the mask.")
    mask_HW = await run_in_threadpool(clicker.mask, job, await _json(request))
    return Response(await run_in_threadpool(uploads.image_png, mask_HW.astype(np.uint8) * 255), media_type="image/png")


async def _depth(request: Request) -> Response:
    job, unit = _asked_job(request), request.query_params.get("unit", "")

    def keep(content: bytes, limits: Limits) -> None:
        depth = uploads.depth_from(content, job.size_px, unit, job.folder, limits)
        job.keep("depth", depth.depth_HW)
        job.exact_depth, job.depth_note = False, uploads.described(depth)
        job.origin = {**job.origin, "depth_unit_m": depth.unit_m, "assumed": [depth.assumed] if depth.assumed else []}

    return await _take(request, job, keep, origin={"depth": "uploaded"})


async def _take(request: Request, job: Job, keep: Callable[[bytes, Limits], None], origin: dict[str, str]) -> Response:
    """An upload into a job that is not being computed."""
    job.check_idle()
    content = await _body(request)
    job.check_idle()
    await run_in_threadpool(keep, content, _service(request).limits)
    job.origin = {**job.origin, **origin}
    return JSONResponse(job.described())


async def _complete(request: Request) -> Response:
    service, job = _service(request), _asked_job(request)
    asked = await run_in_threadpool(
        request_of, await _json(request), job, service.worker.estimator is not None, service.limits
    )
    service.worker.submit(job, asked)
    return JSONResponse(job.described(), 202)


async def _cancel(request: Request) -> Response:
    job = _asked_job(request)
    _service(request).worker.cancel(job)
    return JSONResponse(job.described())


async def _file(request: Request) -> Response:
    job, name = _asked_job(request), request.path_params["name"]
    if name not in RESULT_FILES or not (job.folder / name).exists():
        raise Refused(404, "This job has no such file.")
    return FileResponse(job.folder / name, media_type=RESULT_FILES[name], filename=name)
