"""The limits of a server, and the exception that refuses a request."""

from __future__ import annotations

from dataclasses import dataclass

MISTAKE = "The server made a mistake; its log says more."


class Refused(Exception):
    """A request that is not served. status: the HTTP status. The message is for the visitor."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Limits:
    """upload_bytes: of one file. pixels: of one image. instances: of one job.

    waiting: jobs in the queue, without the one that is computed. jobs: that are kept at once, in any state.
    idle_s: jobs that nobody has asked for in this time are deleted.
    steps: of a sampler. clicks: on one object.
    """

    upload_bytes: int = 20_000_000
    pixels: int = 16_000_000
    instances: int = 64
    waiting: int = 8
    jobs: int = 64
    idle_s: float = 1800.0
    steps: int = 100
    clicks: int = 50

    def check_size(self, received: int) -> None:
        if received > self.upload_bytes:
            raise Refused(413, f"The file is larger than {self.upload_bytes / 1e6:g} MB, the limit of this server.")

    def check_pixels(self, width: int, height: int) -> None:
        if width * height > self.pixels:
            raise Refused(
                413,
                f"The image has {width} x {height} pixels, more than the {self.pixels / 1e6:g} million that this "
                "server takes; make it smaller.",
            )

    def check_instances(self, count: int) -> None:
        if count > self.instances:
            raise Refused(413, f"There are {count} masks; this server completes {self.instances} at once.")
