"""What the child process of `scenegen objects` answers, with misfortunes: a view that hangs, a process that dies."""

import os
import signal
import time
from typing import Any

from scenegen.objects import asset_process


def serve(step: str, *args: Any) -> Any:
    if step == "views":
        uid = args[-1]
        if "chair" in uid:
            time.sleep(3600)
        if "lamp" in uid:
            os.kill(os.getpid(), signal.SIGSEGV)
        if "sofa" in uid:
            raise KeyError("a bug of the renderer")
    return asset_process.serve(step, *args)
