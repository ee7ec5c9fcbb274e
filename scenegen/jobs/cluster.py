"""Ray for the length of one run: a cluster that is there already, or one of our own on this machine.

Meanwhile Ray's own output goes to a file: when a node dies it is pages long, and a person needs one paragraph.
"""

import os
import shlex
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scenegen.config import JobConfig
from scenegen.errors import EXIT_INTERRUPTED, SceneGenError
from scenegen.jobs.cluster_watch import ClusterWatch, check_reachable
from scenegen.jobs.ray_log import ray_log
from scenegen.jobs.resources import Machine, cluster, this_machine

_OBJECT_STORE_BYTES = 100 << 20  # only small events pass through it
# When a node falls silent (its cable is pulled, its kernel hangs), a call to a task on it ends only when gRPC finds the
# connection dead: after seven minutes by default. Ray's servers refuse clients that ping more often than once a minute.
_KEEPALIVE_MS = {"RAY_grpc_client_keepalive_time_ms": "60000", "RAY_grpc_client_keepalive_timeout_ms": "30000"}
_REACH_S = 10.0
_SHUTDOWN_S = 5.0
_NO_ADDRESS = ("auto", "local")  # Ray finds these by itself
_NOT_UP = "timed out during startup"  # what Ray says when its processes are not there after 30 s
_REFUSED = ("Unauthenticated", "InvalidAuthToken")  # what Ray's log says when the token is missing or wrong


class ClusterLostError(SceneGenError):
    """Ray's node that this process was attached to is gone. Exit code 75: run the same command again."""

    exit_code = EXIT_INTERRUPTED


@contextmanager
def ray_session(job: JobConfig, stop: threading.Event) -> Iterator[Machine]:
    """Connect to a Ray cluster or start one, and give what it has. A Ray that this process already uses is kept.

    stop: is set when the cluster is lost, so that the run ends as if it had been asked to. Enter this context before
    `ray` is imported: the import reads how to authenticate.
    Raises SceneGenError if the cluster cannot be reached, and on leaving ClusterLostError if it was lost.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    for name, milliseconds in _KEEPALIVE_MS.items():
        os.environ.setdefault(name, milliseconds)
    if job.ray_address and _token_is_here():
        os.environ.setdefault("RAY_AUTH_MODE", "token")  # Ray looks for a token by itself only on the head's machine
    import ray

    if ray.is_initialized():
        yield cluster(ray.cluster_resources(), ray.nodes())
        return
    with ray_log() as log:
        _begin(job, log.path)
        watch = ClusterWatch.of_this_node(stop, lambda: _leave(log.path))
        watch.start()
        try:
            yield cluster(ray.cluster_resources(), ray.nodes())
        except ray.exceptions.RayTaskError:  # of the work, not of the cluster
            raise
        except ray.exceptions.RayError as error:
            watch.lost = True
            log.keep()
            raise ClusterLostError(_lost_message(log.path)) from error
        finally:
            watch.close()
            _shut_down(watch.lost, log.path)
        if watch.lost:
            log.keep()
            raise ClusterLostError(_lost_message(log.path))


def _begin(job: JobConfig, log: Path) -> None:
    """Raises SceneGenError that names the cause."""
    import ray

    quiet: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    try:
        if not job.ray_address:
            ray.init(
                address="local",
                num_cpus=this_machine().cpus,
                include_dashboard=False,
                object_store_memory=_OBJECT_STORE_BYTES,
                **quiet,
            )
            return
        if job.ray_address not in _NO_ADDRESS:
            check_reachable(job.ray_address.removeprefix("ray://"), _REACH_S)
        ray.init(address=job.ray_address, **quiet)
    except ray.exceptions.AuthenticationError as error:
        raise SceneGenError(_token_message(job.ray_address)) from error
    except (ConnectionError, TimeoutError, ValueError, RuntimeError, OSError) as error:
        if any(word in log.read_text(errors="replace") for word in _REFUSED):
            raise SceneGenError(_token_message(job.ray_address)) from error
        if not job.ray_address:
            raise SceneGenError(f"cannot start Ray on this machine: {error}") from error
        raise SceneGenError(
            f"cannot reach a Ray cluster at {job.ray_address}: {error}. Give --ray-address HOST:PORT as "
            "`ray start --head` printed it, and see whether `ray status` answers there"
        ) from error
    except Exception as error:
        if _NOT_UP not in str(error):  # of no class of its own
            raise
        raise SceneGenError(
            "Ray did not come up on this machine within half a minute, most likely because other programs use its "
            "cores or memory. Nothing was begun; run the same command again when there is less going on"
        ) from error


def _token_files() -> list[Path]:
    """Where Ray looks for the cluster's token, apart from the environment."""
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    return [Path(named)] if named else [Path.home() / ".ray" / "auth_token"]


def _token_is_here() -> bool:
    return bool(os.environ.get("RAY_AUTH_TOKEN")) or any(file.is_file() for file in _token_files())


def _token_message(address: str | None) -> str:
    """What is wrong with the token, and what to do."""
    (file,) = _token_files()
    place = "in RAY_AUTH_TOKEN" if os.environ.get("RAY_AUTH_TOKEN") else f"in {file}"
    mode = os.environ.get("RAY_AUTH_MODE", "")
    if _token_is_here() and mode not in ("", "token"):
        return f"the Ray cluster at {address} wants its token; RAY_AUTH_MODE={mode} keeps it back: unset RAY_AUTH_MODE"
    state = f"the one {place} is not its own" if _token_is_here() else f"there is none {place}"
    return (
        f"the Ray cluster at {address} wants its token, and {state}. Copy ~/.ray/auth_token of the cluster's head to "
        f"{file} here (a shared home has it), or set RAY_AUTH_TOKEN to what `ray get-auth-token` prints on the head; "
        "then run the same command again"
    )


def _lost_message(log: Path) -> str:
    command = shlex.join(["scenegen", *sys.argv[1:]])
    return (
        f"Ray's node that this command was attached to ({socket.gethostname()}) is gone: its daemon was killed (most "
        "often because memory ran out), or the cluster was stopped. Finished scenes and shards are safe.\n"
        f"To go on, type the same command again: {command}\nWhat Ray said is in {log}"
    )


def _shut_down(lost: bool, log: Path) -> None:
    """Disconnect from Ray, which may wait for ever for a cluster that is gone."""
    import ray

    impatient = threading.Timer(_SHUTDOWN_S, _leave, [log])
    impatient.daemon = True
    if lost:
        impatient.start()
    ray.shutdown()
    impatient.cancel()


def _leave(log: Path) -> None:
    """Ray does not disconnect: say what happened and end this process before Ray ends it without a message."""
    sys.stderr.write(f"scenegen: {_lost_message(log)}\n")
    sys.stderr.flush()
    os._exit(EXIT_INTERRUPTED)
