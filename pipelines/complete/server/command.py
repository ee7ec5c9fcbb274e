"""The options of `fixer-complete --serve`, and the server that they describe. Its help loads no torch."""

from __future__ import annotations

import signal
import socket
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import tyro

from pipelines.complete.inputs.weights import checkpoint_or_packaged, encoder_files
from pipelines.complete.server.hosts import Hosts, url_host
from pipelines.errors import EXIT_DONE, UsageError
from scenegen.contract.command.help_page import MAIN, HelpGroups

if TYPE_CHECKING:
    from pipelines.complete.inputs.estimators import LoadedEstimator
    from pipelines.complete.server.clicks import Clicker
    from pipelines.complete.server.limits import Limits
    from pipelines.complete.server.service import Service


@dataclass(frozen=True)
class ServeCommand:
    """Serve a web page on which people complete their own images.

    One job is computed at a time; the others wait.
    """

    checkpoint: str | None = None
    """A folder, or owner/repo on the hub, with a pipeline.json. Default: the small model in this package, which is not
    the released one."""
    host: str = "127.0.0.1"
    """Address to listen at; 0.0.0.0 for all, but then put a proxy with TLS and a login before it."""
    allow_host: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ...")] = ()
    """Further host names that requests may use, such as a proxy's public name, fixer.example. localhost and --host are
    always served; any allows every name, and thereby pages of other sites (DNS rebinding)."""
    port: int = 8000
    """Port to listen at; 0 for any that is free."""
    shards: str | None = None
    """A dataset whose views are offered as examples."""
    encoder_weights: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=FILE ...")] = ()
    """Weights of encoders that are not in the checkpoint: dinov2=FILE moge2=FILE."""
    depth: str = ""
    """Depth estimator for images without a depth file: moge2, depth_pro or vggt. Default: moge2, if --encoder-weights
    has it."""
    depth_weights: Path | None = None
    """Weights of the depth estimator, a file or folder. Default: moge2 of --encoder-weights, otherwise the Hugging Face
    cache."""
    segmenter: Annotated[str | None, tyro.conf.arg(metavar="DIR|HUB-ID")] = None
    """A Segment Anything network that makes masks from clicks, such as facebook/sam-vit-base. Without it, masks are
    drawn by hand."""
    max_upload_mb: float = 20.0
    """The largest file that is accepted, in megabytes."""
    max_pixels: int = 16_000_000
    """The largest image that is accepted, in pixels."""
    max_instances: int = 64
    """The most instances of one image."""
    queue: int = 8
    """The most jobs that wait."""
    lifetime_min: float = 30.0
    """Minutes after which a job is deleted that nobody has asked for."""
    device: Literal["auto", "cuda", "cpu"] = "auto"
    """Where the networks run; auto is CUDA where there is a GPU."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Precision of the networks; auto is bf16 on CUDA and fp32 on the CPU."""
    offload: bool = False
    """Keep the networks in main memory, and move each to the GPU for its step."""

    HELP_GROUPS: ClassVar[HelpGroups] = {
        MAIN: "checkpoint shards segmenter host port",
        "networks": "encoder-weights depth depth-weights",
        "who may ask, and for how much": "allow-host max-upload-mb max-pixels max-instances queue lifetime-min",
        "how it is computed": "device precision offload",
    }

    def run(self) -> int:
        """Serves until it is interrupted. Raises UsageError, PipelineError and CheckpointError."""
        missing = [package for package in ("starlette", "uvicorn") if find_spec(package) is None]
        if missing:
            raise UsageError(f"--serve needs {', '.join(missing)}: pip install 'fixer3d[serve]'")
        self._check()
        import uvicorn

        from pipelines.complete.server.app import application

        signal.signal(signal.SIGTERM, signal.default_int_handler)  # otherwise the folder would outlive the server
        with (
            suppress(KeyboardInterrupt),
            self._listening() as listening,
            tempfile.TemporaryDirectory(prefix="fixer-complete-") as folder,
        ):
            bound, port = listening.getsockname()[:2]
            hosts = Hosts.of(self.host, bound, self.allow_host)
            service = self.service(Path(folder))
            self._announce(service.worker.pipe.networks.title, hosts, port)
            uvicorn.Server(uvicorn.Config(application(service, hosts), log_level="warning")).run(sockets=[listening])
        return EXIT_DONE

    def _announce(self, title: str, hosts: Hosts, port: int) -> None:
        place = url_host("localhost" if hosts.addresses else self.host)
        more = "" if hosts.any_name else "; --allow-host NAME adds others"
        sys.stderr.write(f"fixer-complete: {title}\n")
        sys.stderr.write(f"fixer-complete: open http://{place}:{port}/ (Ctrl-C ends it)\n")
        sys.stderr.write(f"fixer-complete: it answers to {hosts.described()}{more}\n")

    def _check(self) -> None:
        """Before anything is loaded. Raises UsageError."""
        positive = ("max_upload_mb", "max_pixels", "max_instances", "queue", "lifetime_min")
        for name in positive:
            if not 0 < getattr(self, name) < float("inf"):
                raise UsageError(f"--{name.replace('_', '-')} must be a positive number, not {getattr(self, name)}")
        if not 0 <= self.port < 1 << 16:
            raise UsageError(f"--port must be from 0 to 65535, not {self.port}")

    def _listening(self) -> socket.socket:
        """Bound before the networks are loaded, so that a port that is in use is reported at once."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            return socket.create_server((self.host, self.port), family=family, backlog=128)
        except OSError as error:
            raise UsageError(
                f"cannot listen at {self.host}:{self.port} ({error.strerror}); choose another --port or --host"
            ) from error

    def limits(self) -> Limits:
        from pipelines.complete.server.limits import Limits

        return Limits(
            upload_bytes=int(self.max_upload_mb * 1e6),
            pixels=self.max_pixels,
            instances=self.max_instances,
            waiting=self.queue,
            idle_s=60 * self.lifetime_min,
        )

    def service(self, folder: Path) -> Service:
        """folder: for the jobs; it is deleted when the server ends."""
        from pipelines.complete.pipeline import FixerPipeline
        from pipelines.complete.server.examples import Examples
        from pipelines.complete.server.jobs import JobStore
        from pipelines.complete.server.service import Service
        from pipelines.complete.server.worker import Worker

        limits = self.limits()
        weights = encoder_files(self.encoder_weights)
        checkpoint = checkpoint_or_packaged(self.checkpoint, sys.stderr)
        examples = None if self.shards is None else Examples(self.shards)
        clicker = self._clicker(limits)
        estimator = self._estimator(weights)
        pipe = FixerPipeline.from_pretrained(checkpoint, self.device, self.precision, self.offload, weights)
        store = JobStore(folder, limits)
        return Service(store, Worker(pipe, estimator, store, limits), limits, examples, clicker)

    def _estimator(self, weights: Mapping[str, str | Path]) -> LoadedEstimator | None:
        from pipelines.complete.compute_device import ComputeDevice
        from pipelines.complete.inputs.estimators import MOGE2, LoadedEstimator

        name = self.depth or (MOGE2 if MOGE2 in weights else "")
        if not name:
            return None
        place = self.depth_weights or (Path(weights[MOGE2]) if name == MOGE2 and MOGE2 in weights else None)
        return LoadedEstimator.load(name, place, ComputeDevice.choose(self.device, self.precision, self.offload))

    def _clicker(self, limits: Limits) -> Clicker | None:
        if self.segmenter is None:
            return None
        from pipelines.complete.compute_device import ComputeDevice
        from pipelines.complete.inputs.segment_anything import Segmenter
        from pipelines.complete.server.clicks import Clicker

        compute = ComputeDevice.choose(self.device, self.precision, self.offload)
        return Clicker(Segmenter.from_pretrained(self.segmenter, compute), limits)
