"""What is timed: one renderer, a scene in it, its parts."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np

ROOT = Path(__file__).parents[3]
sys.path[:0] = [str(ROOT), str(Path(__file__).parents[1])]

from render_quality import Variant, variants  # noqa: E402

from scenegen.assets.hdris import HdriLibrary  # noqa: E402
from scenegen.assets.library import AssetLibrary  # noqa: E402
from scenegen.blender.beauty import beauty_settings, read_rgb  # noqa: E402
from scenegen.blender.camera import point_camera  # noqa: E402
from scenegen.blender.passes import ExactPasses, read_exact  # noqa: E402
from scenegen.blender.renderer import BlenderRenderer, BuiltScene, refuse_troubles  # noqa: E402
from scenegen.blender.room import show_walls  # noqa: E402
from scenegen.blender.runtime import devices, version  # noqa: E402
from scenegen.blender.runtime.devices import RenderDevice  # noqa: E402
from scenegen.blender.runtime.log import captured  # noqa: E402
from scenegen.config import DatasetConfig, RenderConfig  # noqa: E402
from scenegen.contract.records import ViewImages  # noqa: E402
from scenegen.contract.schema import decode_facts, decode_view, encode_view  # noqa: E402
from scenegen.contract.validate import view_problems  # noqa: E402
from scenegen.layout.facts import object_facts  # noqa: E402
from scenegen.layout.sampler import sample_scene  # noqa: E402
from scenegen.layout.spec import SceneSpec  # noqa: E402
from scenegen.layout.visibility import SceneCaster  # noqa: E402
from scenegen.scenes.maker import SceneTools, describe_scene  # noqa: E402


@dataclass(frozen=True)
class Settings:
    """render: of the RGB image. variant: what render_quality.py adds for the official settings."""

    render: RenderConfig
    variant: Variant
    denoise_on_gpu: bool = True


@dataclass
class Stopwatch:
    """Cycles' own account of a render: when it starts to synchronise, to sample, and when it has finished."""

    marks: list[tuple[float, str]] = field(default_factory=list)

    def __call__(self, text: str, *_: object) -> None:
        self.marks.append((time.perf_counter(), str(text)))

    def phases(self, start: float, end: float) -> dict[str, float]:
        """sync_s, traced_s (with denoising) and saving_s of the last render; together they are its time."""
        sampling = next((when for when, text in self.marks if "Sample 0/" in text), start)
        finished = next((when for when, text in reversed(self.marks) if "Finished" in text), end)
        return {"sync_s": sampling - start, "traced_s": finished - sampling, "saving_s": end - finished}


@dataclass(frozen=True)
class Bench:
    """One Blender on one device, and the assets of its scenes."""

    renderer: BlenderRenderer
    library: AssetLibrary
    hdris: HdriLibrary
    config: DatasetConfig
    watch: Stopwatch

    @classmethod
    def open(cls, device: str, config: DatasetConfig) -> Bench:
        """Raises SceneGenError if Cycles does not find the device."""
        library, hdris = AssetLibrary.open(config.assets), HdriLibrary.open(config.assets)
        threads = 1 if os.environ.get("OMP_NUM_THREADS") == "1" else 0
        watch = Stopwatch()
        renderer = BlenderRenderer(library, hdris, None, config, device, threads)
        bpy.app.handlers.render_stats.append(watch)
        return cls(renderer, library, hdris, config, watch)

    @property
    def device_name(self) -> str:
        device = self.renderer._session.device
        return f"{device.kind}: {', '.join(device.names)}"

    def use_cpu(self) -> None:
        """From the next scene on, render on the CPU."""
        devices.use(RenderDevice("CPU", ("CPU",)), self.renderer._session.scene)

    def settings(self, render: RenderConfig) -> Settings:
        return Settings(render, Variant(render))

    def named_settings(self, name: str) -> Settings:
        """ "ours": the defaults. "official": with all that render_quality.py does for them."""
        variant = variants()["official"] if name == "official" else Variant(RenderConfig())
        return Settings(variant.render, variant)

    def build(self, scene_index: int, px: int) -> Scene:
        """A sampled scene in images of this size."""
        spec = sample_scene(self.config, self.library, list(self.hdris.uids), [], scene_index)
        views = tuple(replace(view, camera=replace(view.camera, size_px=(px, px))) for view in spec.views)
        return self.build_spec(replace(spec, views=views))

    def build_spec(self, spec: SceneSpec) -> Scene:
        with captured() as log:
            built = self.renderer.build(spec)
        refuse_troubles(log.troubles())
        return Scene(self, spec, built)

    def timed_scene(self, scene_index: int, px: int, settings: Settings) -> Iterator[dict[str, Any]]:
        """A scene as it is made for a dataset, a row a view, with the seconds of each part.

        The scene's own time is in the first row: building it, and the first synchronisation of either kind of pass.
        """
        start = time.perf_counter()
        scene = self.build(scene_index, px)
        caster = SceneCaster.of(scene.spec, self.library)
        row_of_scene = describe_scene(scene.spec, SceneTools(self.library, self.hdris.uids, [], self.renderer))
        built_s = time.perf_counter() - start
        exact, exact_s = scene.timed_exact()
        for index, view in enumerate(scene.spec.views):
            laps = Laps()
            image, phases = scene.beauty(index, settings)
            laps.end("beauty_s")
            passes = read_exact(exact[index], scene.built.instances, view.camera)
            images = ViewImages(image, passes.depth_m, passes.instance_id, passes.normal_cam, passes.albedo)
            laps.end("read_s")
            facts = object_facts(scene.spec, index, images.instance_id, caster, through_glass=False)
            laps.end("facts_s")
            row = encode_view(scene_index, index, view.camera.K_px, view.camera.matrix_world, images, facts)
            laps.end("encode_s")
            (values,) = row.to_pylist()
            decoded = decode_view(values, [decode_facts(each) for each in values["objects"]])
            problems = [*view_problems(decoded, row_of_scene)]
            laps.end("check_s")
            once_s = phases["sync_s"] if settings.variant.persistent else 0.0  # else every view pays it
            scene_s = {"scene_s": built_s + exact_s[0] - exact_s[-1] + once_s} if index == 0 else {}
            yield {
                "scene": scene_index, "view": index, **laps.seconds, **phases, "exact_s": exact_s[-1], **scene_s,
                "problems": problems,
            }  # fmt: skip


class Laps:
    """Seconds between one end and the next."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def end(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name], self._last = now - self._last, now


@dataclass(frozen=True)
class Scene:
    """A scene in Blender. applied: the settings and seeds of its images, the latest last."""

    bench: Bench
    spec: SceneSpec
    built: BuiltScene
    applied: list[tuple[Settings, int]] = field(default_factory=list)

    def beauty(self, view_index: int, settings: Settings, seed: int = 0) -> tuple[np.ndarray, dict[str, float]]:
        """(H, W, 3) uint8 of a view, and the phases of its render. Raises SceneError if Cycles reports trouble."""
        session, variant = self.bench.renderer._session, settings.variant
        scene, view = session.scene, self.spec.views[view_index]
        on_gpu = session.device.is_gpu
        self.bench.watch.marks.clear()
        start = time.perf_counter()
        with captured() as log:
            if self.applied[-1:] != [(settings, seed)]:  # once, as in a run: setting them makes Cycles synchronise anew
                self.applied.append((settings, seed))
                scene.render.use_persistent_data = variant.persistent
                beauty_settings(scene, settings.render, on_gpu)
                scene.cycles.seed = seed
                scene.cycles.denoising_use_gpu = on_gpu and settings.denoise_on_gpu
                if variant.official_light_map:
                    scene.world.cycles.sampling_method = "AUTOMATIC"
            show_walls(self.built.walls, view.unseen_walls)
            point_camera(scene, view.camera)
            file = session.render(f"rgb-{view_index}.bmp")
        phases = self.bench.watch.phases(start, time.perf_counter())
        refuse_troubles(log.troubles())
        return read_rgb(file), phases

    def timed_exact(self) -> tuple[list[Path], list[float]]:
        """The file of each view's exact passes, and the seconds that each took."""
        self.bench.renderer._session.scene.render.use_persistent_data = True
        self.bench.watch.marks.clear()
        start = time.perf_counter()
        with captured() as log:
            files = [each[0] for each in self.bench.renderer._render_exact(self.spec, self.built)]
        refuse_troubles(log.troubles())
        ends = [when for when, text in self.bench.watch.marks if "Saving" in text]
        return files, [*np.diff([start, *ends])]

    def exact(self) -> list[ExactPasses]:
        """The exact passes of all views."""
        files, _ = self.timed_exact()
        return [
            read_exact(file, self.built.instances, view.camera)
            for file, view in zip(files, self.spec.views, strict=True)
        ]


def differences(one: ExactPasses, other: ExactPasses, tolerance_m: float) -> dict[str, float]:
    """Shares of pixels that differ: in ids; where ids are equal, in depth by more than the tolerance, in normals."""
    same = one.instance_id == other.instance_id
    hit = same & (one.instance_id > 0)
    depth_m = np.abs(one.depth_m - other.depth_m)[hit]
    cosine = np.clip((one.normal_cam * other.normal_cam).sum(axis=-1)[hit], -1, 1)
    return {
        "ids_differ": float(1 - same.mean()),
        "depth_beyond_tolerance": float((depth_m > tolerance_m).mean()),
        "depth_median_m": float(np.median(depth_m)),
        "depth_p9999_m": float(np.quantile(depth_m, 0.9999)),
        "normals_beyond_1_deg": float((cosine < np.cos(np.radians(1))).mean()),
    }


def machine_facts() -> dict[str, Any]:
    """Card, driver, processor, versions, and where the driver's ray tracing libraries are."""
    card = ""
    if shutil.which("nvidia-smi"):
        query = ["--query-gpu=name,driver_version,memory.total,pcie.link.gen.current", "--format=csv,noheader"]
        card = subprocess.run(["nvidia-smi", *query], capture_output=True, text=True, check=False).stdout.strip()
    folders = [Path(each) for each in os.environ.get("LD_LIBRARY_PATH", "").split(":") if each]
    folders += [Path("/usr/lib/x86_64-linux-gnu"), Path("/usr/lib64"), Path("/usr/share/nvidia")]
    folders += [file.parent for file in Path("/usr/local/nvidia").rglob("lib*") if file.is_file()]
    wanted = ("libcuda.so.1", "libnvoptix.so.1", "nvoptix.bin", "libnvidia-rtcore.so*", "libnvidia-ptxjitcompiler.so.1")
    return {
        "card": card,
        "cores": len(os.sched_getaffinity(0)),
        "processor": next(
            (line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
             if line.startswith("model name")), ""
        ),
        "bpy": version.BPY_VERSION,
        "driver_files": [str(file) for folder in sorted({*folders}) for name in wanted for file in folder.glob(name)],
        "loads": {name: _loads(name) for name in ("libcuda.so.1", "libnvoptix.so.1")},
        "cycles_devices": json.loads(json.dumps([(each.kind, each.names) for each in devices.found()])),
    }  # fmt: skip


def _loads(library: str) -> str:
    """ "yes", or why the loader refuses a library."""
    try:
        ctypes.CDLL(library)
    except OSError as error:
        return str(error)
    return "yes"
