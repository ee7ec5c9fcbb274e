"""Which devices Cycles can render on here. Asked in a child process, because bpy must not be loaded into the driver.

Run as: python -m scenegen.planning.device_probe; prints one line of JSON and leaves without the interpreter's
teardown.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass

from scenegen.errors import SceneGenError

_LIMIT_S = 120.0


@dataclass(frozen=True, slots=True)
class Devices:
    """bpy: its version. kinds: (kind, device names), the fastest kind first; the CPU is always among them."""

    bpy: str
    kinds: tuple[tuple[str, tuple[str, ...]], ...]


def probe() -> Devices:
    """Ask a child process. Raises SceneGenError if Blender does not load there."""
    command = [sys.executable, "-m", "scenegen.planning.device_probe"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        raise SceneGenError(f"Blender named no devices within {_LIMIT_S:g} s; check the graphics driver") from None
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise SceneGenError(f"Blender does not load: {last}. Run: pip install 'fixer3d[render]' (Python 3.11)")
    raw = json.loads(lines[-1])
    return Devices(raw["bpy"], tuple((kind, tuple(names)) for kind, names in raw["kinds"]))


def main() -> None:
    from scenegen.blender.runtime import devices, version

    kinds = [(device.kind, device.names) for device in devices.found()]
    sys.stdout.write("\n" + json.dumps({"bpy": version.BPY_VERSION, "kinds": kinds}) + "\n")
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
