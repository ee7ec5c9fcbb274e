"""Image error against CPU-seconds a view, for the official render settings and for ours.

    python tests/benchmarks/render_quality.py [--scenes 5] [--size 80] [--reference-spp 2048] [--only ours-128,official]
        [--resume]

References are rendered once into --cache, as two halves with different seeds, without denoising and without adaptive
sampling: their difference tells the reference's own noise, which is subtracted from every measured error
(the raw figure is printed as well). PSNR is of the 8-bit image, relMSE of linear radiance: (x - r)^2 / (r^2 + 0.01).

What is timed is one view, by process CPU time. Ours: scene and worker are kept, as in a run. Official: no persistent
data, so that the scene is synchronised for the view, and Cycles' own choice of the light map's size. On a busy machine
CPU-seconds can double; the mean number of samples a pixel got does not change with the load.

With --resume, what a stopped run has measured is taken from --cache: for the same code and settings only.
"""

import argparse
import dataclasses
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import bpy
import numpy as np

from scenegen.assets.hdris import HdriLibrary
from scenegen.assets.library import AssetLibrary
from scenegen.blender.beauty import beauty_settings, read_rgb
from scenegen.blender.camera import point_camera
from scenegen.blender.exr import read_exr
from scenegen.blender.renderer import BlenderRenderer
from scenegen.blender.room import show_walls
from scenegen.blender.runtime import version
from scenegen.blender.runtime.log import captured
from scenegen.config import AssetsConfig, CameraConfig, DatasetConfig, RenderConfig
from scenegen.layout.sampler import sample_scene
from scenegen.layout.spec import SceneSpec

RESULT = Path(__file__).parent / "results" / "render_quality"


@dataclasses.dataclass(frozen=True)
class Variant:
    """Render settings, and Cycles properties that RenderConfig has no field for."""

    render: RenderConfig
    cycles: tuple[tuple[str, object], ...] = ()
    persistent: bool = True
    official_light_map: bool = False


def variants() -> dict[str, Variant]:
    """By name; "official" first."""
    found = {
        "official": Variant(
            RenderConfig(
                samples=128,
                adaptive_threshold=0.01,
                sampling_pattern="TABULATED_SOBOL",
                denoising_prefilter="ACCURATE",
            ),
            persistent=False,
            official_light_map=True,
        )
    }
    found["ours-128"] = Variant(RenderConfig(samples=128, adaptive_threshold=0.01))
    for threshold in (0.02, 0.025, 0.03, 0.05, 0.1):
        found[f"ours-{threshold}"] = Variant(RenderConfig(samples=256, adaptive_threshold=threshold))
    base = RenderConfig(samples=256, adaptive_threshold=0.03)
    for samples in (16, 32, 64):
        fixed = RenderConfig(samples=samples, adaptive_threshold=0.0)
        found[f"fixed-{samples}"] = Variant(fixed)
        found[f"fixed-{samples}-none"] = Variant(dataclasses.replace(fixed, denoising_prefilter="NONE"))
    found["sobol-0.03"] = Variant(dataclasses.replace(base, sampling_pattern="TABULATED_SOBOL"))
    for samples, threshold in ((160, 0.025), (192, 0.03)):
        found[f"capped-{samples}-{threshold}"] = Variant(RenderConfig(samples=samples, adaptive_threshold=threshold))
    unfiltered = dataclasses.replace(base, denoising_prefilter="NONE")
    found["prefilter-none-0.03"] = Variant(unfiltered)
    for samples, threshold in ((192, 0.03), (224, 0.03), (320, 0.03), (384, 0.04), (512, 0.05)):
        found[f"capped-{samples}-{threshold}-none"] = Variant(
            dataclasses.replace(unfiltered, samples=samples, adaptive_threshold=threshold)
        )
    return found


def main() -> None:
    options = _options()
    config = DatasetConfig(
        num_scenes=10_000,
        assets=AssetsConfig(split="all"),
        camera=CameraConfig(num_views=1, resolution_px=options.size),
    )
    library, hdris = AssetLibrary.open(config.assets), HdriLibrary.open(config.assets)
    renderer = BlenderRenderer(library, hdris, None, config, "cpu", options.threads)
    chosen = {n: v for n, v in variants().items() if not options.only or n in options.only.split(",")}
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in chosen}
    for index in range(options.first, options.first + options.scenes):
        spec = _scene(options, lambda i=index: sample_scene(config, library, list(hdris.uids), [], i), index)
        halves = _references(renderer, spec, options)
        for name, variant in chosen.items():
            kept = options.cache / f"{spec.sha256[:16]}-{options.size}-{options.reference_spp}-{name}.json"
            if not (options.resume and kept.is_file()):
                kept.write_text(json.dumps(_measure(renderer, spec, variant, halves)))
            measured = json.loads(kept.read_text())
            rows[name].append({"scene": index, **measured})
            print(name, index, {k: round(v, 4) for k, v in measured.items()}, flush=True)
    if rows.get("official"):
        _report(rows, options)
    sys.stdout.flush()
    os._exit(0)  # bpy may hang at exit after a render


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=5)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--size", type=int, default=80)
    parser.add_argument("--reference-spp", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "scenegen-references")
    parser.add_argument("--only", default="")
    parser.add_argument("--resume", action="store_true")
    return parser.parse_args()


def _scene(options: argparse.Namespace, sample: Callable[[], SceneSpec], index: int) -> SceneSpec:
    """The scene as first sampled: kept with its references, so that a longer list of settings meets equal scenes."""
    options.cache.mkdir(parents=True, exist_ok=True)
    file = options.cache / f"scene-{index}-{options.size}.json"
    if not file.is_file():
        file.write_text(sample().to_json())
    return SceneSpec.from_json(file.read_text())


def _references(
    renderer: BlenderRenderer, spec: SceneSpec, options: argparse.Namespace
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Two independent halves as (display uint8, linear float32)."""
    halves = []
    for seed in (101, 202):
        file = options.cache / f"{spec.sha256[:16]}-{options.size}-{options.reference_spp}-{seed}.npz"
        if not file.is_file():
            render = RenderConfig(
                samples=options.reference_spp // 2,
                adaptive_threshold=0.0,
                denoise=False,
                sampling_pattern="TABULATED_SOBOL",
            )
            display, linear, seconds, *_ = _render(renderer, spec, Variant(render, (("seed", seed),)))
            print(f"reference {spec.scene_index} seed {seed}: {seconds:.0f} CPU-s", flush=True)
            np.savez_compressed(file, display=display, linear=linear)
        with np.load(file) as stored:
            halves.append((stored["display"], stored["linear"]))
    return halves


def _measure(renderer: BlenderRenderer, spec: SceneSpec, variant: Variant, halves: list) -> dict[str, float]:
    display, linear, seconds, fixed, samples = _render(renderer, spec, variant)
    (a, a_linear), (b, b_linear) = ((d.astype(np.float64), x.astype(np.float64)) for d, x in halves)
    mse = float(np.mean((display - (a + b) / 2) ** 2))
    reference_mse = float(np.mean((a - b) ** 2)) / 4
    weight = 1.0 / (((a_linear + b_linear) / 2) ** 2 + 0.01)
    relative = float(np.mean((linear - (a_linear + b_linear) / 2) ** 2 * weight))
    reference_relative = float(np.mean((a_linear - b_linear) ** 2 * weight)) / 4
    return {
        "cpu_s": seconds,
        "fixed_cpu_s": fixed,
        "samples": samples,
        "psnr_raw_db": _psnr(mse),
        "psnr_db": _psnr(max(mse - reference_mse, 1e-3)),
        "mse": mse - reference_mse,
        "relmse": relative - reference_relative,
    }


def _render(
    renderer: BlenderRenderer, spec: SceneSpec, variant: Variant
) -> tuple[np.ndarray, np.ndarray, float, float, float]:
    """Display image, linear image, CPU-seconds of the view, of the first view's synchronisation, and samples a pixel.

    Without persistent data the latter is the whole of a 1 spp view: what every view pays again.
    """
    session = renderer._session
    scene = session.scene
    scene.render.use_persistent_data = variant.persistent
    with captured():
        built = renderer.build(spec)
        beauty_settings(scene, variant.render, on_gpu=False)
        defaults = {name: getattr(scene.cycles, name) for name, _ in variant.cycles}
        for name, value in variant.cycles:
            setattr(scene.cycles, name, value)
        if variant.official_light_map:
            scene.world.cycles.sampling_method = "AUTOMATIC"
        view = spec.views[0]
        show_walls(built.walls, view.unseen_walls)
        point_camera(scene, view.camera)
        scene.view_layers[0].cycles.pass_debug_sample_count = True
        scene.cycles.samples = 1
        start = time.process_time()
        session.render("warm-up.bmp")
        first = time.process_time() - start
        if variant.persistent:
            start = time.process_time()
            session.render("warm-up.bmp")
            first -= time.process_time() - start
        scene.cycles.samples = variant.render.samples
        start = time.process_time()
        display = read_rgb(session.render("display.bmp"))
        seconds = time.process_time() - start
        version.write_multilayer_exr(scene.render.image_settings)
        linear_file = session.scratch / "linear.exr"
        bpy.data.images["Render Result"].save_render(str(linear_file), scene=scene)
        for name, value in defaults.items():
            setattr(scene.cycles, name, value)
    scene.view_layers[0].cycles.pass_debug_sample_count = False
    channels = read_exr(linear_file)
    linear = np.stack([next(v for k, v in channels.items() if k.endswith(f"Combined.{c}")) for c in "RGB"], axis=-1)
    share = next(v for k, v in channels.items() if k.endswith("Debug Sample Count.X"))
    return display, linear, seconds, first, float(share.mean()) * variant.render.samples


def _psnr(mse: float) -> float:
    return float(10 * np.log10(255.0**2 / mse))


def _report(rows: dict[str, list[dict[str, float]]], options: argparse.Namespace) -> None:
    mean = {n: {k: float(np.mean([r[k] for r in v])) for k in v[0]} for n, v in rows.items() if v}
    official = mean["official"]
    titles = (
        "settings",
        "CPU-s a view",
        "of which fixed (ours: once a scene, not included)",
        "of official",
        "samples a pixel",
        "PSNR dB",
        "PSNR raw dB",
        "MSE",
        "of official",
        "relMSE",
        "of official",
    )
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for name, m in mean.items():
        lines.append(
            f"| {name} | {m['cpu_s']:.2f} | {m['fixed_cpu_s']:.2f} "
            f"| {m['cpu_s'] / official['cpu_s']:.0%} | {m['samples']:.1f} | {m['psnr_db']:.2f} "
            f"| {m['psnr_raw_db']:.2f} | {m['mse']:.2f} | {m['mse'] / official['mse']:.2f} "
            f"| {m['relmse']:.5f} | {m['relmse'] / official['relmse']:.2f} |"
        )
    about = {
        "command": f"python tests/benchmarks/render_quality.py --scenes {options.scenes} --size {options.size} "
        f"--reference-spp {options.reference_spp}",
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": f"{os.cpu_count()} CPU cores, {platform.machine()}, shared with other work",
        "bpy": bpy.app.version_string,
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.with_suffix(".json").write_text(json.dumps({**about, "mean": mean, "scenes": rows}, indent=1) + "\n")
    head = "".join(f"- {key}: {value}\n" for key, value in about.items())
    text = f"# Image error against CPU time\n\n{head}\n" + "\n".join(lines) + "\n"
    RESULT.with_suffix(".md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
