"""The devices that Cycles can use on this machine, and the choice of one."""

from dataclasses import dataclass

import bpy

from scenegen.errors import SceneGenError, UsageError

CHOICES = ("auto", "optix", "cuda", "cpu")
_GPU_KINDS = ("OPTIX", "CUDA")


@dataclass(frozen=True, slots=True)
class RenderDevice:
    """kind: "OPTIX", "CUDA" or "CPU". names: the devices of that kind, as the driver calls them."""

    kind: str
    names: tuple[str, ...]

    @property
    def is_gpu(self) -> bool:
        return self.kind != "CPU"


def found() -> tuple[RenderDevice, ...]:
    """Every kind of device that Cycles finds on this machine, the fastest first; the CPU is always there."""
    kinds = {kind: [d.name for d in _of_kind(kind) if d.type == kind] for kind in _GPU_KINDS}
    gpus = tuple(RenderDevice(kind, tuple(names)) for kind, names in kinds.items() if names)
    return (*gpus, RenderDevice("CPU", ("CPU",)))


def choose(wanted: str) -> RenderDevice:
    """The device to render on: the first that is found for "auto", else the one of that name.

    Raises UsageError for an unknown name, SceneGenError if the device is not there.
    """
    if wanted not in CHOICES:
        raise UsageError(f"device is {wanted!r}; choose one of {', '.join(CHOICES)}")
    devices = found()
    if wanted == "auto":
        return devices[0]
    for device in devices:
        if device.kind == wanted.upper():
            return device
    listed = "; ".join(f"{d.kind.lower()}: {', '.join(d.names)}" for d in devices)
    raise SceneGenError(
        f"device {wanted} was asked for, but Cycles found only {listed}. "
        "Check the driver (nvidia-smi), or use --device cpu"
    )


def use(device: RenderDevice, scene: "bpy.types.Scene") -> None:
    """Make Cycles render `scene` on this device and on no other."""
    if not device.is_gpu:
        scene.cycles.device = "CPU"
        return
    _preferences().compute_device_type = device.kind
    for entry in _of_kind(device.kind):
        entry.use = entry.type == device.kind
    scene.cycles.device = "GPU"


def _preferences() -> "bpy.types.AddonPreferences":
    return bpy.context.preferences.addons["cycles"].preferences


def _of_kind(kind: str) -> list:
    return list(_preferences().get_devices_for_type(kind) or ())
