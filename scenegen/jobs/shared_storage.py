"""Whether the machines of a run see each other's files: a folder that is not shared would fill up unseen."""

import socket
import time
from collections.abc import Iterable

from scenegen.contract.storage import Root
from scenegen.errors import SceneGenError
from scenegen.jobs.restarts import sleep_in_steps

_WITHIN_S = 60.0  # an NFS client may believe for so long that a file is not there
_EVERY_S = 1.0


class NotSharedError(SceneGenError):
    """A file that another machine has written is not seen on this one."""


def wait_for_files(root: Root, names: Iterable[str], within_s: float = _WITHIN_S) -> None:
    """Return when all files, which another machine has written, are seen here. Raises NotSharedError if one is not."""
    until = time.monotonic() + within_s
    for name in names:
        while not root.exists(name):
            if time.monotonic() > until:
                raise NotSharedError(
                    f"{socket.gethostname()} does not see {root.location}/{name}, which another machine has "
                    "written. All of them need the folder under the same path, on a file system that they share; or "
                    "give a bucket (s3://...)"
                )
            sleep_in_steps(_EVERY_S)
