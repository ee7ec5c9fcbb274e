"""What errors are measured against: images of many samples, and the CPU's images at the settings in question."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from bench import Bench

from scenegen.config import AssetsConfig, CameraConfig, DatasetConfig, RenderConfig
from scenegen.layout.sampler import sample_scene
from scenegen.layout.spec import SceneSpec

_SEEDS = (101, 202)


@dataclass(frozen=True)
class Reference:
    """A view. halves: two independent ones, (H, W, 3) uint8. cpu: the CPU's image by name of the settings."""

    spec: SceneSpec
    halves: tuple[np.ndarray, np.ndarray]
    cpu: dict[str, np.ndarray]

    @property
    def px(self) -> int:
        return self.spec.views[0].camera.size_px[0]


def make(file: Path, scenes: int, samples: int, px: int) -> None:
    """Render on the CPU and write one file; scenes that are in it already are kept."""
    camera = CameraConfig(num_views=1, resolution_px=px)
    bench = Bench.open("cpu", DatasetConfig(num_scenes=10_000, assets=AssetsConfig(split="all"), camera=camera))
    kept = dict(np.load(file)) if file.is_file() else {}
    half = RenderConfig(samples=samples // 2, adaptive_threshold=0.0, denoise=False, sampling_pattern="TABULATED_SOBOL")
    for index in range(scenes):
        if f"{index}-spec" in kept:
            continue
        start = time.perf_counter()
        spec = sample_scene(bench.config, bench.library, list(bench.hdris.uids), [], index)
        for name in ("ours", "official"):
            kept[f"{index}-cpu-{name}"], _ = bench.build_spec(spec).beauty(0, bench.named_settings(name))
        for seed in _SEEDS:
            kept[f"{index}-half-{seed}"], _ = bench.build_spec(spec).beauty(0, bench.settings(half), seed)
        kept[f"{index}-spec"] = np.array(spec.to_json())
        np.savez_compressed(file, **kept)
        print(f"reference {index}: {time.perf_counter() - start:.0f} s", flush=True)


def read(file: Path) -> Iterator[Reference]:
    with np.load(file) as stored:
        for key in stored.files:
            if key.endswith("-spec"):
                index = key.removesuffix("-spec")
                halves = tuple(stored[f"{index}-half-{seed}"] for seed in _SEEDS)
                cpu = {name: stored[f"{index}-cpu-{name}"] for name in ("ours", "official")}
                yield Reference(SceneSpec.from_json(str(stored[key])), halves, cpu)


def errors(image: np.ndarray, reference: Reference, settings: str) -> dict[str, float]:
    """Mean squared errors of 8-bit values: of the image, and of the CPU's at the same settings, against the reference.

    The reference's own noise is subtracted, as in render_quality.py.
    """
    one, other = (half.astype(np.float64) for half in reference.halves)
    noise = float(np.mean((one - other) ** 2)) / 4
    mse = {
        name: float(np.mean((shown - (one + other) / 2) ** 2)) - noise
        for name, shown in (("device", image), ("cpu", reference.cpu[settings]))
    }
    return {
        "mse": mse["device"],
        "cpu_mse": mse["cpu"],
        "psnr_db": float(10 * np.log10(255.0**2 / max(mse["device"], 1e-3))),
        "cpu_psnr_db": float(10 * np.log10(255.0**2 / max(mse["cpu"], 1e-3))),
        "differs_from_cpu_mse": float(np.mean((image.astype(np.float64) - reference.cpu[settings]) ** 2)),
    }
