"""Requests about jobs: make one of an image, give it masks, depth and camera, complete it, fetch what it became."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from pipelines.complete.export.stages import RESULT, STAGES
from pipelines.complete.server import uploads
from pipelines.complete.server.jobs import Job
from pipelines.complete.server.limits import Limits, Refused
from pipelines.complete.server.requests import request_of
from pipelines.complete.server.service import body_of, json_of, requested_job, service_of

RESULT_FILES = {
    **{f"{stage}.glb": "model/gltf-binary" for stage in (*STAGES, RESULT)},
    "splats.ply": "application/octet-stream",
    "report.json": "application/json",
}


async def _upload(request: Request) -> Response:
    """A new job of the uploaded image."""
    service, content = service_of(request), await body_of(request)

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


async def _job(request: Request) -> Response:
    service, job = service_of(request), requested_job(request)
    if request.method == "DELETE":
        service.worker.cancel(job)
        await run_in_threadpool(service.store.delete, job)
        return Response(status_code=204)
    return JSONResponse({**job.described(), "jobs_before": service.worker.place(job)})


async def _image(request: Request) -> Response:
    job = requested_job(request)
    return Response(await run_in_threadpool(lambda: uploads.image_jpeg(job.load("rgb"))), media_type="image/jpeg")


async def _masks(request: Request) -> Response:
    job = requested_job(request)
    if request.method == "GET":
        if not job.has("ids"):
            raise Refused(404, "This job has no masks yet.")
        return Response(await run_in_threadpool(lambda: uploads.ids_png(job.load("ids"))), media_type="image/png")

    split = "split" in request.query_params

    def keep(content: bytes, limits: Limits) -> None:
        masks = uploads.masks_from(content, job.size_px, job.folder, limits, split)
        job.keep("ids", masks.ids_HW)
        job.mask_notes, job.mask_parts = masks.notes, masks.parts

    return await _take_upload(request, job, keep, origin={"masks": "drawn or uploaded"})


async def _click(request: Request) -> Response:
    """The mask of the clicked points as a picture, white on black. The job's own masks stay as they are."""
    clicker, job = service_of(request).clicker, requested_job(request)
    if clicker is None:
        raise Refused(404, "This server has no segmenter; draw the mask.")
    mask_HW = await run_in_threadpool(clicker.mask, job, await json_of(request))
    return Response(await run_in_threadpool(uploads.image_png, mask_HW.astype(np.uint8) * 255), media_type="image/png")


async def _depth(request: Request) -> Response:
    job, unit = requested_job(request), request.query_params.get("unit", "")

    def keep(content: bytes, limits: Limits) -> None:
        depth = uploads.depth_from(content, job.size_px, unit, job.folder, limits)
        job.keep("depth", depth.depth_HW)
        job.exact_depth, job.depth_note = False, uploads.described(depth)
        job.origin = {**job.origin, "depth_unit_m": depth.unit_m, "assumed": [depth.assumed] if depth.assumed else []}

    return await _take_upload(request, job, keep, origin={"depth": "uploaded"})


async def _take_upload(
    request: Request, job: Job, keep: Callable[[bytes, Limits], None], origin: dict[str, str]
) -> Response:
    """Only a job that is not being computed takes an upload."""
    job.check_idle()
    content = await body_of(request)
    job.check_idle()
    await run_in_threadpool(keep, content, service_of(request).limits)
    job.origin = {**job.origin, **origin}
    return JSONResponse(job.described())


async def _complete(request: Request) -> Response:
    service, job = service_of(request), requested_job(request)
    has_estimator = service.worker.estimator is not None
    asked = await run_in_threadpool(request_of, await json_of(request), job, has_estimator, service.limits)
    service.worker.submit(job, asked)
    return JSONResponse(job.described(), 202)


async def _cancel(request: Request) -> Response:
    job = requested_job(request)
    service_of(request).worker.cancel(job)
    return JSONResponse(job.described())


async def _file(request: Request) -> Response:
    job, name = requested_job(request), request.path_params["name"]
    if name not in RESULT_FILES or not (job.folder / name).exists():
        raise Refused(404, "This job has no such file.")
    return FileResponse(job.folder / name, media_type=RESULT_FILES[name], filename=name)


JOB_ROUTES = (
    Route("/api/jobs", _upload, methods=["POST"]),
    Route("/api/jobs/{job_id}", _job, methods=["GET", "DELETE"]),
    Route("/api/jobs/{job_id}/image", _image),
    Route("/api/jobs/{job_id}/masks", _masks, methods=["GET", "PUT"]),
    Route("/api/jobs/{job_id}/click", _click, methods=["POST"]),
    Route("/api/jobs/{job_id}/depth", _depth, methods=["PUT"]),
    Route("/api/jobs/{job_id}/complete", _complete, methods=["POST"]),
    Route("/api/jobs/{job_id}/cancel", _cancel, methods=["POST"]),
    Route("/api/jobs/{job_id}/files/{name}", _file),
)
