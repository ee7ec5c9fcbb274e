"""Ray for the length of one run: a cluster that is there already, or one of our own on this machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from scenegen.config import JobConfig
from scenegen.errors import SceneGenError
from scenegen.jobs.resources import Machine, cluster, this_machine

_OBJECT_STORE_BYTES = 100 << 20  # only small events pass through it


@contextmanager
def ray_session(job: JobConfig) -> Iterator[Machine]:
    """Connect to or start Ray; gives what there is to share out. A Ray that this process already uses is used as it is.

    Raises SceneGenError if the cluster cannot be reached.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    here = this_machine()
    if ray.is_initialized():
        yield cluster(ray.cluster_resources())
        return
    quiet = {"logging_level": "ERROR", "log_to_driver": False}
    try:
        if job.ray_address:
            ray.init(address=job.ray_address, **quiet)
        else:
            ray.init(
                address="local",
                num_cpus=here.cpus,
                include_dashboard=False,
                object_store_memory=_OBJECT_STORE_BYTES,
                **quiet,
            )
    except (ConnectionError, TimeoutError, ValueError, RuntimeError) as error:
        where = f"the Ray cluster at {job.ray_address}" if job.ray_address else "Ray on this machine"
        raise SceneGenError(f"cannot start with {where}: {error}. Check --ray-address and `ray status`") from error
    try:
        yield cluster(ray.cluster_resources())
    finally:
        ray.shutdown()
