"""Notices that the Ray node of this process is gone, before Ray ends the process without any message of ours.

Ray's native code ends the process with code 1 when the head reports that the node's daemon (raylet) has not answered
for some 15 seconds, and when the head itself has not answered for 60.
"""

import socket
import threading
import time
from collections.abc import Callable

_EVERY_S = 1.0
_ANSWER_S = 5.0
_SILENCE_S = 20.0  # how long the head may not answer: it may be restarted
_GRACE_S = 6.0  # how long the run may take to end by itself


class ClusterWatch(threading.Thread):
    """A thread that sets `stop` when the node's daemon is gone, or when the head has not answered for a while.

    daemon_address, head_address: "host:port". leave: ends this process; it is called if the run has not ended by itself
    some seconds after `stop` was set. lost: whether `stop` was set by this thread.
    """

    def __init__(
        self,
        daemon_address: str,
        head_address: str,
        stop: threading.Event,
        leave: Callable[[], None],
        silence_s: float = _SILENCE_S,
        grace_s: float = _GRACE_S,
    ) -> None:
        super().__init__(name="cluster-watch", daemon=True)
        self._daemon_address, self._head_address = daemon_address, head_address
        self._stop_run, self._leave = stop, leave
        self._silence_s, self._grace_s = silence_s, grace_s
        self._closed = threading.Event()
        self.lost = False

    @classmethod
    def of_this_node(cls, stop: threading.Event, leave: Callable[[], None]) -> "ClusterWatch":
        """For the node that `ray.init` attached this process to."""
        import ray

        context = ray.get_runtime_context()
        (node,) = (each for each in ray.nodes() if each["NodeID"] == context.get_node_id())
        return cls(f"{node['NodeManagerAddress']}:{node['NodeManagerPort']}", context.gcs_address, stop, leave)

    def run(self) -> None:
        heard = time.monotonic()
        while not self._closed.wait(_EVERY_S):
            if _answers(self._head_address):
                heard = time.monotonic()
            if time.monotonic() - heard > self._silence_s or _refuses(self._daemon_address):
                break
        if self._closed.is_set():
            return
        self.lost = True
        self._stop_run.set()
        if not self._closed.wait(self._grace_s):
            self._leave()

    def close(self) -> None:
        """Stop watching, because the run has ended."""
        self._closed.set()


def check_reachable(address: str, within_s: float) -> None:
    """Raises OSError if nothing listens at "host:port", ValueError if it is no such address."""
    host, _, port = address.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), within_s).close()


def _answers(address: str) -> bool:
    try:
        check_reachable(address, _ANSWER_S)
    except OSError:
        return False
    return True


def _refuses(address: str) -> bool:
    """Whether nothing listens there; one that is merely slow does not count."""
    try:
        check_reachable(address, _ANSWER_S)
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False
