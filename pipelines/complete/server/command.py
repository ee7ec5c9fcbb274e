"""`fixer-complete --serve`: its options, and the server that they describe. Its help needs no torch."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from pipelines.complete.command import encoder_files
from pipelines.errors import EXIT_DONE, UsageError

if TYPE_CHECKING:
    from pipelines.complete.server.app import Service


@dataclass(frozen=True)
class ServeCommand:
    """A web page on which people complete their own images. One job is computed at a time, the others wait."""

    checkpoint: str
    """Folder or owner/repo on the hub with a pipeline.json."""
    host: str = "127.0.0.1"
    """Address to listen at; 0.0.0.0 for all, then put a proxy with TLS and a login before it."""
    port: int = 8000
    shards: str | None = None
    """Dataset whose views are offered as examples."""
    encoder_weights: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=FILE ...")] = ()
    """Weights that are not in the checkpoint: dinov2=FILE moge2=FILE. With moge2 the page estimates depth itself."""
    max_upload_mb: float = 20.0
    """Of one file."""
    max_pixels: int = 16_000_000
    """Of one image."""
    max_instances: int = 64
    """Of one image."""
    queue: int = 8
    """Jobs that may wait."""
    lifetime_min: float = 30.0
    """Jobs that nobody asked for so long are deleted."""
    device: Literal["auto", "cuda", "cpu"] = "auto"
    """auto is CUDA where there is one."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """auto is bf16 on CUDA."""
    offload: bool = False
    """Keep networks in main memory and move each to the GPU for its step."""

    def run(self) -> int:
        """Serves until it is interrupted. Raises UsageError, PipelineError and CheckpointError."""
        missing = [package for package in ("starlette", "uvicorn") if find_spec(package) is None]
        if missing:
            raise UsageError(f"--serve needs {', '.join(missing)}: pip install 'fixer3d[serve]'")
        import uvicorn

        from pipelines.complete.server.app import application

        with tempfile.TemporaryDirectory(prefix="fixer-complete-") as folder:
            service = self.service(Path(folder))
            sys.stderr.write(f"fixer-complete: http://{self.host}:{self.port}/\n")
            uvicorn.run(application(service), host=self.host, port=self.port, log_level="warning")
        return EXIT_DONE

    def service(self, folder: Path) -> Service:
        """folder: for the jobs, deleted with the server."""
        from pipelines.complete.pipeline import FixerPipeline
        from pipelines.complete.server.app import Service
        from pipelines.complete.server.examples import Examples
        from pipelines.complete.server.jobs import JobStore
        from pipelines.complete.server.limits import Limits
        from pipelines.complete.server.worker import Worker
        from pipelines.complete.sources import MOGE2, read_moge

        limits = Limits(
            upload_bytes=int(self.max_upload_mb * 1e6),
            pixels=self.max_pixels,
            instances=self.max_instances,
            waiting=self.queue,
            idle_s=60 * self.lifetime_min,
        )
        weights = encoder_files(self.encoder_weights)
        examples = None if self.shards is None else Examples.of(self.shards)
        moge = read_moge(Path(weights[MOGE2])) if MOGE2 in weights else None
        pipe = FixerPipeline.from_pretrained(self.checkpoint, self.device, self.precision, self.offload, weights)
        store = JobStore(folder, limits)
        return Service(store, Worker(pipe, moge, store, limits), limits, examples)
