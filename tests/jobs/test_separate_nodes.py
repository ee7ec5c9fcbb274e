"""A cluster of three machines loses one: the driver, on another, finishes with the files of an undisturbed run."""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import scenegen.jobs
from tests.box_runs.fixtures import ROOT
from tests.box_runs.harness import files_of, wait_until
from tests.jobs.separate_nodes import Node, separate_nodes, why_not

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.skipif(bool(why_not()), reason=why_not())]

RECIPE = Path(scenegen.jobs.__file__).parent / "recipes" / "ray_cluster.sh"
BIN = Path(sys.executable).parent
SMALL_NODE = ["--num-cpus", "1", "--object-store-memory", str(100 << 20)]
PREVIEW = shlex.split(
    "--preset preview --renderer boxes --stages render --camera.resolution-px 32 --placement.num-objects 4 5"
)


@dataclass
class Cluster:
    """Ray on three nodes, as the recipe starts it; they share a home, and each has a scratch folder of its own."""

    nodes: list[Node]
    folder: Path

    def environment(self, node: Node) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        own = self.folder / node.name
        own.mkdir(exist_ok=True)
        paths = {"HOME": str(self.folder), "TMPDIR": str(own), "RAY_TMPDIR": str(own), "PYTHONPATH": str(ROOT)}
        return kept | paths | {"PATH": f"{BIN}:{os.environ['PATH']}"}

    def start(self) -> None:
        """One after the other: a Ray that does not come up within half a minute gives up."""
        head, *others = self.nodes
        self._recipe(head, "head", "--include-dashboard=false")
        for node in others:
            self._recipe(node, "worker", head.name)

    def _recipe(self, node: Node, *arguments: str) -> None:
        with (self.folder / f"{node.name}.log").open("w+") as said:  # a pipe would be kept open by Ray's daemons
            command = ["bash", RECIPE, *arguments, *SMALL_NODE]
            code = node.start(command, env=self.environment(node), stdout=said, stderr=said).wait()
            assert code == 0, said.seek(0) or said.read()

    def drive(self, *arguments: object) -> subprocess.Popen:
        """scenegen on the first node."""
        command = [BIN / "scenegen", *arguments, "--ray-address", "auto"]
        environment = self.environment(self.nodes[0])
        return self.nodes[0].start(command, env=environment, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with (
        tempfile.TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True) as folder,
        separate_nodes(3) as nodes,
    ):
        cluster = Cluster(nodes, Path(folder))
        cluster.start()
        yield cluster


LOSSES = pytest.mark.parametrize("lose", [Node.kill_all, Node.unplug])


def scenegen_alone(*arguments: object) -> str:
    done = subprocess.run(
        [BIN / "scenegen", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def finishes_without(
    node: Node, lose: Callable[[Node], None], driver: subprocess.Popen, begun: Callable[[], bool]
) -> None:
    wait_until(lambda: begun() or driver.poll() is not None, 120)
    assert driver.poll() is None, driver.communicate()[1]
    lose(node)
    said = driver.communicate(timeout=300)[1]
    assert driver.returncode == 0, said


@LOSSES
def test_scenes_are_made_when_a_node_is_lost(cluster: Cluster, lose: Callable[[Node], None], tmp_path: Path):
    def command(out: str) -> list[object]:
        return [
            "render",
            "--num-scenes",
            40,
            "--scenes-per-shard",
            5,
            "--workers",
            3,
            "--out",
            tmp_path / out,
            *PREVIEW,
        ]

    driver = cluster.drive(*command("data"))
    begun = lambda: bool([*(tmp_path / "data").glob("views-*.parquet")])  # noqa: E731
    finishes_without(cluster.nodes[2], lose, driver, begun)
    assert "as promised" in scenegen_alone("verify", "--data", tmp_path / "data", "--deep")
    scenegen_alone(*command("undisturbed"))
    assert tables_of(tmp_path / "data") == tables_of(tmp_path / "undisturbed")


@LOSSES
def test_objects_are_made_when_a_node_is_lost(cluster: Cluster, lose: Callable[[Node], None], tmp_path: Path):
    scenegen_alone("render", "--num-scenes", 4, "--out", tmp_path / "data", *PREVIEW)
    shutil.copytree(tmp_path / "data", tmp_path / "undisturbed")

    def command(data: str) -> list[object]:
        return [
            "objects",
            "--data",
            tmp_path / data,
            "--steps",
            "geometry",
            "--preset",
            "preview",
            "--objects-per-shard",
            1,
        ]

    driver = cluster.drive(*command("data"))
    begun = lambda: bool([*(tmp_path / "data").glob("objects-*.parquet")])  # noqa: E731
    finishes_without(cluster.nodes[2], lose, driver, begun)
    assert "as promised" in scenegen_alone("verify", "--data", tmp_path / "data", "--deep")
    scenegen_alone(*command("undisturbed"))
    assert tables_of(tmp_path / "data") == tables_of(tmp_path / "undisturbed")


def test_a_folder_that_one_of_the_nodes_does_not_share_ends_the_run_with_what_to_do(cluster: Cluster, tmp_path: Path):
    assert cluster.nodes[2].start(["mount", "-t", "tmpfs", "tmpfs", tmp_path]).wait() == 0
    driver = cluster.drive("render", "--num-scenes", 40, "--workers", 3, "--out", tmp_path / "data", *PREVIEW)
    said = driver.communicate(timeout=300)[1]
    assert driver.returncode == 1 and f"node3 does not see {tmp_path}/data/config.json" in said, said
    assert "file system that they share" in said and "Traceback" not in said


def tables_of(folder: Path) -> dict[str, bytes]:
    return {name: content for name, content in files_of(folder).items() if name.endswith(".parquet")}
