"""Machines with addresses of their own, on this one: each is a set of Linux namespaces, joined by a virtual switch.

A node has its own network, host name, processes and /dev/shm, and shares the files with this machine, as the nodes of a
cluster share a file system. When a node is killed, the kernel ends all its processes at once and nothing says goodbye.
"""

import contextlib
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil

_TOOLS = ("unshare", "nsenter", "ip")
_MAKE_NODE = """set -e
hostname {name}
mount -t tmpfs -o size=256m tmpfs /dev/shm
printf '{hosts}' >/dev/shm/hosts
mount --bind /dev/shm/hosts /etc/hosts
ip link set lo up
echo ready
exec sleep inf
"""


@dataclass
class Node:
    """One machine. address: its IPv4 address. process: `unshare`, with which everything in the node ends."""

    name: str
    address: str
    process: subprocess.Popen
    switch: "subprocess.Popen"
    started: list[subprocess.Popen] = field(default_factory=list)

    @property
    def first_pid(self) -> int:
        """Of the node's first process, as seen from outside."""
        (first,) = psutil.Process(self.process.pid).children()
        return first.pid

    def command(self, arguments: Sequence[object]) -> list[str]:
        """The same command, to be run in this node."""
        spaces = ("--net", "--uts", "--mount", "--pid")
        return ["nsenter", "--target", str(self.first_pid), *spaces, "--", *map(str, arguments)]

    def start(self, arguments: Sequence[object], **options) -> subprocess.Popen:
        """Popen in this node."""
        self.started.append(subprocess.Popen(self.command(arguments), **options))
        return self.started[-1]

    def kill_all(self) -> None:
        """All its processes end at once. The machine stays, and its kernel closes their connections."""
        subprocess.run(self.command(["kill", "-KILL", "-1"]), check=False)  # all but the first, which lives on

    def unplug(self) -> None:
        """The cable is pulled: the processes live on, and no packet, not even a farewell, gets through."""
        _in_network(self.switch, "ip", "link", "set", self.name, "down")


def why_not() -> str:
    """Why no such nodes can be made here; "" if they can."""
    missing = [tool for tool in _TOOLS if not shutil.which(tool)]
    if missing:
        return f"{', '.join(missing)} not installed (packages util-linux and iproute2)"
    tried = subprocess.run(
        ["unshare", "--net", "--uts", "--mount", "--pid", "--fork", "ip", "link", "set", "lo", "up"],
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if tried.returncode == 0 else f"network namespaces are not allowed here: {tried.stderr.strip()}"


@contextmanager
def separate_nodes(count: int) -> Iterator[list[Node]]:
    """Nodes node1, node2, ... at 10.77.0.1, 10.77.0.2, ...; they reach each other and nothing else."""
    with contextlib.ExitStack() as stack:
        switch = stack.enter_context(_holder("--net", script="echo ready; exec sleep inf"))
        _in_network(switch, "ip", "link", "add", "switch", "type", "bridge")
        _in_network(switch, "ip", "link", "set", "switch", "up")
        addresses = {f"node{number}": f"10.77.0.{number}" for number in range(1, count + 1)}
        hosts = "".join(f"{address} {name}\\n" for name, address in {"localhost": "127.0.0.1", **addresses}.items())
        spaces = ("--uts", "--net", "--mount", "--pid", "--fork", "--mount-proc")
        nodes = []
        for name, address in addresses.items():
            process = stack.enter_context(_holder(*spaces, script=_MAKE_NODE.format(name=name, hosts=hosts)))
            nodes.append(Node(name, address, process, switch))
            _connect(nodes[-1])
        try:
            yield nodes
        finally:
            for node in nodes:
                node.kill_all()
                for started in node.started:
                    started.kill()
                    started.communicate()


def _connect(node: Node) -> None:
    inside, there = str(node.first_pid), str(node.switch.pid)
    wire = f"ip link add name {node.name} netns {there} type veth peer name eth0 netns {inside}"
    subprocess.run(wire.split(), check=True)
    _in_network(node.switch, "ip", "link", "set", node.name, "master", "switch", "up")
    for line in (f"ip address add {node.address}/24 dev eth0", "ip link set eth0 up"):
        subprocess.run(node.command(line.split()), check=True)


def _in_network(holder: subprocess.Popen, *command: str) -> None:
    subprocess.run(["nsenter", "--target", str(holder.pid), "--net", "--", *command], check=True)


@contextmanager
def _holder(*spaces: str, script: str) -> Iterator[subprocess.Popen]:
    """A process that holds new namespaces open; they go when it ends, as it does together with this one."""
    command = ["unshare", *spaces, "--kill-child", "bash", "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout and process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()
