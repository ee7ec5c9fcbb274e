"""How many workers a machine or cluster has room for, and what each of them gets."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from scenegen.config import DatasetConfig, JobConfig
from scenegen.errors import SceneGenError

WORKER_MEMORY_BYTES = 3 << 30  # Blender with the textures and BVH of one scene at 1024^2
_MIN_RECYCLE_BYTES = 2 << 30


@dataclass(frozen=True, slots=True)
class Machine:
    """What a machine or cluster has. gpus: NVIDIA devices that Ray sees. node_cpus: cores of its smallest node.

    node_cpus is 0 where there is one node only, which has them all.
    """

    cpus: int
    memory_bytes: int
    gpus: int
    node_cpus: int = 0


@dataclass(frozen=True, slots=True)
class WorkerPlan:
    """workers: processes at a time. threads: CPU threads of each. num_cpus, num_gpus: what Ray reserves for each.

    recycle_rss_bytes: a worker's process is replaced when its resident memory exceeds this.
    """

    workers: int
    threads: int
    num_cpus: float
    num_gpus: float
    recycle_rss_bytes: int


def this_machine() -> Machine:
    """Cores and memory that this process may use: affinity, Slurm's and the container's limits are respected."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if "SLURM_CPUS_PER_TASK" in os.environ:
        cpus = min(cpus, int(os.environ["SLURM_CPUS_PER_TASK"]))
    return Machine(cpus, min(psutil.virtual_memory().total, _cgroup_memory_bytes()), 0)


def cluster(resources: Mapping[str, float], nodes: Iterable[Mapping[str, Any]]) -> Machine:
    """What Ray offers: its `cluster_resources()`, and of each of its `nodes()` the part that has cores."""
    of_nodes = [int(node["Resources"].get("CPU", 0)) for node in nodes if node["Alive"]]
    return Machine(
        cpus=int(resources.get("CPU", 0)),
        memory_bytes=int(resources.get("memory", 0)),
        gpus=int(resources.get("GPU", 0)),
        node_cpus=min(filter(None, of_nodes), default=0),
    )


def plan_workers(machine: Machine, config: DatasetConfig, job: JobConfig, scenes: int | None = None) -> WorkerPlan:
    """Divide a machine among render workers: one for each GPU, unless the job names a number, which then shares them.

    scenes: how many there are to make, if that is known. Fewer of them than workers get the cores of all.
    Raises SceneGenError if a GPU is asked for and there is none.
    """
    wants_gpu = job.device in ("optix", "cuda")
    if wants_gpu and not machine.gpus:
        raise SceneGenError(f"--device {job.device}: Ray sees no GPU here; check nvidia-smi, or use --device cpu")
    use_gpu = machine.gpus > 0 and job.device != "cpu" and config.renderer == "blender"
    fitting = max(1, int(machine.memory_bytes * 0.9) // WORKER_MEMORY_BYTES)
    if job.workers is not None:
        workers = min(job.workers, max(machine.cpus, 1))
    elif use_gpu:
        workers = min(machine.gpus, fitting, max(machine.cpus, 1))
    else:
        workers = max(1, min(machine.cpus // _threads_wanted(machine.cpus), fitting))
    workers = min(workers, max(1, scenes)) if scenes is not None else workers
    threads = max(1, min(machine.cpus // workers, machine.node_cpus or machine.cpus))  # Ray has no place for more
    # Ray accepts whole numbers of CPUs, or a fraction below one.
    num_cpus = min(float(threads), machine.cpus / workers)
    # Ray accepts whole GPUs, or fractions of which a whole number makes one.
    num_gpus = 0.0 if not use_gpu else 1.0 if workers <= machine.gpus else 1.0 / -(-workers // machine.gpus)
    recycle = (
        int(job.recycle_rss_gb * 1e9)
        if job.recycle_rss_gb
        else max(_MIN_RECYCLE_BYTES, int(machine.memory_bytes * 0.8) // workers)
    )
    return WorkerPlan(workers, threads, num_cpus, num_gpus, recycle)


def _threads_wanted(cpus: int) -> int:
    """One thread for each worker on few cores, because building a scene is serial; more on many, to save memory."""
    return 1 if cpus <= 8 else 2 if cpus <= 16 else 4


def _cgroup_memory_bytes() -> int:
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        path = Path(name)
        if path.exists():
            text = path.read_text().strip()
            if text.isdigit():
                return int(text)
    return 1 << 62
