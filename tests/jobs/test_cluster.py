"""A Ray cluster as the recipe starts it, with a token; and what is said when the token or the cluster is not there."""

import os
import shlex
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

import scenegen.jobs
from scenegen.config import JobConfig
from scenegen.errors import SceneGenError
from scenegen.jobs.cluster import ray_session
from scenegen.jobs.cluster_watch import ClusterWatch
from tests.box_runs.harness import files_of, wait_until

RECIPE = Path(scenegen.jobs.__file__).parent / "recipes" / "ray_cluster.sh"
BIN = Path(sys.executable).parent
FEW = shlex.split("--preset preview --renderer boxes --stages render --camera.resolution-px 32 --scenes-per-shard 2")
SMALL_NODE = ["--num-cpus", "1", "--object-store-memory", str(100 << 20)]


@dataclass
class Machine:
    """Commands with a home and a Ray of their own on this machine. folder: short, because it holds Unix sockets."""

    folder: Path
    port: int = 0
    started: list[subprocess.Popen] = field(default_factory=list)

    def environment(self, home: str = "home", **more: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        (self.folder / home).mkdir(exist_ok=True)
        own = {"HOME": str(self.folder / home), "RAY_TMPDIR": str(self.folder), "RAY_PORT": str(self.port)}
        return kept | own | {"PATH": f"{BIN}:{os.environ['PATH']}", "RAY_USAGE_STATS_ENABLED": "0"} | more

    def recipe(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        # A file, not a pipe: Ray's daemons would keep a pipe open.
        with (self.folder / "said").open("w+") as said:
            done = subprocess.run(
                ["bash", RECIPE, *arguments], env=self.environment(**environment), stdout=said, stderr=said, check=False
            )
            said.seek(0)
            return subprocess.CompletedProcess(arguments, done.returncode, said.read())

    def scenegen(self, *arguments: str, **environment: str) -> subprocess.Popen:
        process = subprocess.Popen(
            [BIN / "scenegen", *arguments], env=self.environment(**environment), stderr=subprocess.PIPE, text=True
        )
        self.started.append(process)
        return process

    def daemons(self, name: str) -> list[psutil.Process]:
        """Ray's processes of this folder that have such a name."""
        return [each for each in self.processes() if each.name() == name]

    def processes(self) -> Iterator[psutil.Process]:
        for process in psutil.process_iter():
            try:
                if process.environ().get("RAY_TMPDIR") == str(self.folder) and process.pid != os.getpid():
                    yield process
            except psutil.Error:
                continue

    def raylets_at_work(self) -> set[int]:
        """The Ray nodes below which scenes are made just now."""
        found = set()
        for process in self.processes():
            try:
                if "scenegen.scenes.worker" in process.cmdline():
                    found |= {each.pid for each in process.parents() if each.name() == "raylet"}
            except psutil.Error:
                continue
        return found

    def end(self) -> None:
        for process in list(self.processes()):
            process.kill()
        for process in self.started:
            process.communicate()


@pytest.fixture
def machine() -> Iterator[Machine]:
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True) as folder:
        machine = Machine(Path(folder), free_port())
        yield machine
        machine.end()


def free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return asked.getsockname()[1]


def render(out: Path, scenes: int, *more: str) -> list[str]:
    return ["render", "--num-scenes", str(scenes), "--out", str(out), "--workers", "2", *FEW, *more]


def assert_lost_and_resumed(machine: Machine, driver: subprocess.Popen, out: Path, command: list[str]) -> None:
    """The driver has ended with 75 and little text, and the command that it says finishes the dataset."""
    said = driver.communicate(timeout=90)[1]
    assert driver.returncode == 75, said
    assert "is gone" in said and "are safe" in said and "Traceback" not in said and "state-dump" not in said
    assert len(said.splitlines()) < 15
    (log,) = [Path(line.split()[-1]) for line in said.splitlines() if "What Ray said" in line]
    assert log.is_file()
    (again,) = [line.split(": ", 1)[1] for line in said.splitlines() if line.startswith("To go on")]
    assert shlex.split(again) == ["scenegen", *command]
    alone = [part for part in command if part != "--ray-address" and ":" not in part]
    finish = machine.scenegen(*alone)
    assert finish.wait(120) == 0, finish.communicate()[1]
    assert (out / "dataset.json").is_file() and files_of(out)


def test_the_recipe_makes_a_cluster_that_asks_for_its_token_and_renders_on_both_nodes(machine: Machine, tmp_path: Path):
    head = machine.recipe("head", "--include-dashboard=false", *SMALL_NODE)
    assert head.returncode == 0, head.stdout
    token = machine.folder / "home" / ".ray" / "auth_token"
    assert len(token.read_text()) >= 32 and token.stat().st_mode & 0o077 == 0
    address = f"{this_node()}:{machine.port}"

    stranger = machine.recipe("worker", this_node(), *SMALL_NODE, home="elsewhere")
    assert stranger.returncode == 1 and "auth_token" in stranger.stdout and "scp" in stranger.stdout
    node = machine.recipe("worker", this_node(), *SMALL_NODE)
    assert node.returncode == 0, node.stdout

    # Drivers that may not: no token, another cluster's, and one that is there and kept back.
    refused = [
        machine.scenegen(*render(tmp_path / "no", 2, "--ray-address", address), **environment)
        for environment in ({"home": "elsewhere"}, {"RAY_AUTH_TOKEN": "0" * 64}, {"RAY_AUTH_MODE": "disabled"})
    ]
    driver = machine.scenegen(*render(tmp_path / "data", 16, "--ray-address", address))
    at_work: set[int] = set()
    wait_until(lambda: at_work.update(machine.raylets_at_work()) or len(at_work) == 2, 90)
    assert driver.wait(120) == 0, driver.communicate()[1]
    assert (tmp_path / "data" / "dataset.json").is_file()
    for process, says in zip(refused, ("there is none in", "is not its own", "unset RAY_AUTH_MODE"), strict=True):
        said = process.communicate(timeout=60)[1]
        assert process.returncode == 1 and f"{address} wants its token" in said and says in said, said
        assert "Traceback" not in said and "InvalidAuthToken" not in said

    command = render(tmp_path / "lost", 400, "--ray-address", address)
    driver = machine.scenegen(*command)
    wait_until(lambda: bool([*(tmp_path / "lost").glob("views-*.parquet")]), 90)
    for raylet in machine.daemons("raylet"):
        raylet.kill()
    said = driver.communicate(timeout=90)[1]
    assert driver.returncode == 75 and "is gone" in said and "state-dump" not in said, said


def this_node() -> str:
    """The address of this machine under which Ray's nodes know each other."""
    from ray.util import get_node_ip_address

    return get_node_ip_address()


@pytest.mark.parametrize(
    "daemon",
    ["raylet", pytest.param("gcs_server", marks=pytest.mark.slow)],  # the head is waited for, half a minute
)
def test_when_rays_node_dies_the_run_says_so_and_the_command_it_names_goes_on(
    machine: Machine, daemon: str, tmp_path: Path
):
    command = render(tmp_path / "data", 16)
    driver = machine.scenegen(*command, RAY_AUTH_MODE="disabled")
    wait_until(lambda: bool([*(tmp_path / "data").glob("views-*.parquet")]), 90)
    machine.daemons(daemon)[0].kill()
    assert_lost_and_resumed(machine, driver, tmp_path / "data", command)


def test_an_address_where_nothing_listens_is_said_at_once(machine: Machine, tmp_path: Path):
    process = machine.scenegen(*render(tmp_path / "data", 2, "--ray-address", f"127.0.0.1:{machine.port}"))
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 1 and f"cannot reach a Ray cluster at 127.0.0.1:{machine.port}" in said
    assert "Traceback" not in said


def test_a_ray_that_does_not_come_up_in_time_is_one_message_with_what_to_do(monkeypatch: pytest.MonkeyPatch):
    """On a machine that is very busy; Ray raises a bare Exception."""
    import ray

    def init(**options: object) -> None:
        raise Exception("The current node timed out during startup. This could happen because ...")

    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(SceneGenError, match=r"other programs use its cores.*run the same command again"):
        ray_session(JobConfig(), threading.Event()).__enter__()


@pytest.fixture
def listener() -> Iterator[Callable[[], socket.socket]]:
    opened: list[socket.socket] = []

    def listen() -> socket.socket:
        opened.append(socket.create_server(("127.0.0.1", 0)))
        return opened[-1]

    yield listen
    for each in opened:
        each.close()


@pytest.mark.parametrize("who", ["daemon", "head"])
def test_the_watch_stops_the_run_when_the_daemon_or_the_head_is_gone_and_leaves_if_it_does_not_end(listener, who: str):
    daemon, head = listener(), listener()
    stop, left = threading.Event(), threading.Event()
    addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in (daemon, head)]
    watch = ClusterWatch(*addresses, stop, left.set, silence_s=0.5, grace_s=0.1)
    watch.start()
    assert not stop.wait(1.5) and not watch.lost
    {"daemon": daemon, "head": head}[who].close()
    assert stop.wait(20) and watch.lost and left.wait(20)


def test_the_watch_lets_a_run_that_has_ended_alone(listener):
    daemon, head = listener(), listener()
    stop, left = threading.Event(), threading.Event()
    watch = ClusterWatch(*(f"127.0.0.1:{each.getsockname()[1]}" for each in (daemon, head)), stop, left.set)
    watch.start()
    watch.close()
    daemon.close()
    watch.join(20)
    assert not watch.lost and not stop.is_set() and not left.is_set()
