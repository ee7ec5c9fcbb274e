"""Requests for the page itself, for what the server says of itself, and for its examples."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from pipelines.complete.inputs.from_dataset import GROUND_TRUTH
from pipelines.complete.server.examples import Examples
from pipelines.complete.server.limits import Refused
from pipelines.complete.server.service import service_of

PAGE = Path(__file__).parent / "page"
SCRIPTS = (
    "app",
    "api",
    "coco",
    "depth",
    "examples",
    "glb",
    "mask_image",
    "masks",
    "matrix",
    "messages",
    "objects",
    "result",
    "viewer",
)
PAGE_FILES = {
    "": ("index.html", "text/html"),
    "style.css": ("style.css", "text/css"),
    "icon.svg": ("icon.svg", "image/svg+xml"),
    **{f"{name}.js": (f"{name}.js", "text/javascript") for name in SCRIPTS},
}


async def _page(request: Request) -> Response:
    name = request.path_params.get("name", "")
    if name not in PAGE_FILES:
        raise Refused(404, "There is no such page.")
    file, media_type = PAGE_FILES[name]
    return FileResponse(PAGE / file, media_type=media_type)


async def _about(request: Request) -> Response:
    service = service_of(request)
    examples, sampler = service.examples, service.worker.pipe.networks.samplers.coarse
    return JSONResponse(
        {
            "checkpoint": service.worker.pipe.networks.title,
            "device": str(service.worker.pipe.compute.device),
            "steps": sampler.steps,
            "guidance": sampler.guidance,
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


async def _examples(request: Request) -> Response:
    examples, first = _requested_examples(request), request.query_params.get("first", "0")
    if not first.isdecimal():
        raise Refused(400, "The first example must be a number.")
    rows = await run_in_threadpool(examples.page, int(first[:12]))
    return JSONResponse({"count": examples.count, "rows": [asdict(row) for row in rows]})


async def _thumbnail(request: Request) -> Response:
    webp = await run_in_threadpool(_requested_examples(request).thumbnail, request.path_params["number"])
    return Response(webp, media_type="image/webp")


async def _open_example(request: Request) -> Response:
    """A new job with everything of a row."""
    examples, store = _requested_examples(request), service_of(request).store
    number, depth = request.path_params["number"], request.query_params.get("depth", GROUND_TRUTH)
    job = await run_in_threadpool(examples.open, number, depth, store)
    return JSONResponse(job.described(), 201)


def _requested_examples(request: Request) -> Examples:
    examples = service_of(request).examples
    if examples is None:
        raise Refused(404, "This server was started without --shards, so it has no examples.")
    return examples


PAGE_ROUTES = (
    Route("/", _page),
    Route("/page/{name}", _page),
    Route("/api/about", _about),
    Route("/api/examples", _examples),
    Route("/api/examples/{number:int}", _open_example, methods=["POST"]),
    Route("/api/examples/{number:int}/thumbnail", _thumbnail),
)
