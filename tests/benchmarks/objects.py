"""What an asset costs by itself: CPU time of each step, bytes a row, at preview and official sizes.

python -m tests.benchmarks.objects {render,noise,features,encode} [--out tests/benchmarks/results/objects.json]

render, noise: clean views of starter assets in Blender. features, encode: of one of them; networks of full size have
random weights, for their time. Each part replaces its own entry of the result file.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from scenegen.assets.library import AssetLibrary
from scenegen.config import AssetsConfig, RenderConfig
from scenegen.contract import objects
from scenegen.contract.crops import object_crop, premultiplied
from scenegen.contract.objects import ObjectGeometry, ObjectView, ViewKind
from scenegen.contract.voxels import surface_voxels
from scenegen.layout.clean_cameras import clean_cameras
from scenegen.layout.randomness import AssetStage, rng_for_asset
from tests.objects.networks.conftest import views_of

UIDS = [f"blendswap-cc0-{name}" for name in ("teddy-bear", "plant", "knife-stand-swap", "armchair")]
BIG, SMALL = UIDS[0], UIDS[2]
Work = Callable[[], Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    result = {
        "command": f"python -m tests.benchmarks.objects {arguments.part}",
        "hardware": f"{_cpu()}, one thread; CPU time on a busy machine",
        "date": time.strftime("%Y-%m-%d"),
        **PARTS[arguments.part](),
    }
    print(json.dumps(result, indent=1))
    if arguments.out:
        stored = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
        arguments.out.write_text(json.dumps({**stored, arguments.part: result}, indent=1) + "\n")
    sys.stdout.flush()
    os._exit(0)  # bpy may hang at exit


def render() -> dict[str, Any]:
    """CPU seconds and bytes a view by size and samples, mean over assets; the first view of an asset also builds it."""
    rows: dict[str, Any] = {}
    sizes: list[tuple[ViewKind, int, int, int, list[str]]] = [
        ("feature", 128, 32, 2, UIDS),
        ("feature", 256, 32, 2, UIDS),
        ("feature", 512, 32, 1, UIDS),
        ("feature", 512, 128, 1, UIDS),
        ("condition", 1024, 128, 1, UIDS[:2]),
    ]
    renderer = _renderer(_library())
    for kind, size_px, samples, count, uids in sizes:
        seconds, view_bytes = [], []
        for uid in uids:
            cameras = clean_cameras(kind, count, size_px, 0, uid)
            list(renderer.render(uid, cameras[:1], 1))  # imports the asset
            cost_s, views = _timed(partial(list, renderer.render(uid, cameras, samples)))
            seconds.append(cost_s / count)
            for index, (camera, view) in enumerate(zip(cameras, views, strict=True)):
                crop = object_crop(view.rgba, 518) if kind == "condition" else None
                row = _object_view(uid, kind, index, camera, view, crop)
                view_bytes.append(objects.encode_object_view(row).nbytes)
        rows[f"{kind} {size_px} px, {samples} samples"] = {
            "cpu_s_a_view": round(float(np.mean(seconds)), 2),
            "cpu_s_by_asset": [round(value, 2) for value in seconds],
            "bytes_a_row": int(np.mean(view_bytes)),
        }
    return {"assets": UIDS, "views": rows}


def noise() -> dict[str, Any]:
    """PSNR on the object against 1024 samples without denoising, 192 px."""
    library = _library()
    cameras = {uid: clean_cameras("feature", 2, 192, 0, uid) for uid in UIDS}

    def images(samples: int, threshold: float) -> tuple[float, dict[str, list[np.ndarray]]]:
        renderer = _renderer(library, RenderConfig(adaptive_threshold=threshold))

        def shown(uid: str) -> list[np.ndarray]:
            return [view.rgba for view in renderer.render(uid, cameras[uid], samples)]

        cost_s, found = _timed(lambda: {uid: shown(uid) for uid in UIDS})
        renderer.close()
        return cost_s / (2 * len(UIDS)), found

    _, truth = images(1024, 0.0)
    rows = {}
    for samples, threshold in ((8, 0.01), (16, 0.01), (32, 0.01), (64, 0.01), (128, 0.01), (128, 0.03)):
        cost_s, found = images(samples, threshold)
        psnr = [round(_psnr(found[uid], truth[uid]), 1) for uid in UIDS]
        rows[f"{samples} samples at {threshold}"] = {"cpu_s_a_view": round(cost_s, 2), "psnr_db": psnr}
    return {"assets": UIDS, "settings": rows}


def features() -> dict[str, Any]:
    """Extraction, projection and re-projection of turned assets, one object."""
    import torch

    from models.dinov2 import DinoVisionTransformer, dino_config
    from scenegen.objects.networks.dinov2 import DinoV2
    from scenegen.objects.networks.manifest import choose_extractor
    from scenegen.objects.networks.projection import FeatureViews, voxel_features
    from scenegen.objects.networks.registry import load_extractor
    from scenegen.objects.networks.rotations import rotated, uniform_rotations

    torch.set_num_threads(1)
    geometry = _geometry(BIG)
    rotation = uniform_rotations(2, rng_for_asset(0, BIG, AssetStage.ROTATIONS))[1]
    turn_s, pose = _timed(lambda: rotated(geometry, rotation, 1))
    small = load_extractor(choose_extractor("efficientnet_lite0"), None, "cpu")

    class Random:
        """Maps of DINOv2's shape, for the time of the projection alone."""

        name, channels = "random", 1024

        def __call__(self, rgba_KHW4: np.ndarray) -> torch.Tensor:
            return torch.randn(len(rgba_KHW4), 1024, 37, 37)

    rows: dict[str, Any] = {"voxels": len(geometry.voxels), "turn_and_voxelise_s": round(turn_s, 4)}
    for name, extractor, count, size_px in (
        ("preview", small, 12, 128),
        ("30 of 150 official views", Random(), 30, 512),
    ):
        views = views_of(geometry, count, size_px)
        extract_s, seen = _timed(lambda views=views, extractor=extractor: FeatureViews.of(extractor, views))
        project_s, found = _timed(lambda seen=seen: voxel_features(seen, geometry.voxels))
        again_s, _ = _timed(lambda seen=seen: seen.at(pose.voxels, pose.T_rot_obj))
        rows[name] = {
            "views": f"{count} of {size_px} px, {extractor.channels} channels",
            "extract_s": round(extract_s, 3),
            "project_s": round(project_s, 3),
            "project_one_rotation_s": round(again_s, 3),
            "bytes_a_row": objects.encode_features(found).nbytes,
        }
    dino = DinoV2(DinoVisionTransformer(dino_config("dinov2_vitl14_reg")), torch.device("cpu"), 1)
    dino_s, _ = _timed(lambda: dino(np.full((1, 512, 512, 4), 128, np.uint8)))
    rows["dinov2_cpu_s_an_image"] = round(dino_s, 2)
    return rows


def encode() -> dict[str, Any]:
    """Latents of one small object by encoders of the official sizes with random weights."""
    import torch

    from models.slat_vae import SLatEncoder, SLatEncoderConfig
    from models.structure_vae import SparseStructureEncoder, StructureEncoderConfig
    from scenegen.contract.objects import ObjectLatents
    from scenegen.objects.networks.encoders import LatentEncoders

    torch.set_num_threads(1)
    geometry = _geometry(SMALL)
    structure = SparseStructureEncoder(StructureEncoderConfig(1, 8, 2, (32, 128, 512))).eval()
    slat = SLatEncoder(SLatEncoderConfig(64, 768, 8, 12, num_heads=12)).eval()
    encoders = LatentEncoders(structure, slat, torch.device("cpu"))
    structure_s, (shape,) = _timed(lambda: encoders.structure([geometry.voxels]))
    feats = torch.randn(len(geometry.voxels), 1024)
    slat_s, (look,) = _timed(lambda: encoders.slat([geometry.voxels], [feats]))
    look, shape = (
        np.random.default_rng(0).normal(size=look.shape),
        shape + np.random.default_rng(1).normal(size=shape.shape),
    )
    row = ObjectLatents(SMALL, 0, np.eye(4), geometry.voxels, look, shape)
    return {
        "voxels": len(geometry.voxels),
        "structure_s": round(structure_s, 2),
        "slat_s": round(slat_s, 2),
        "bytes_a_row": objects.encode_latents(row).nbytes,
    }


PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    "render": render,
    "noise": noise,
    "features": features,
    "encode": encode,
}


def _library() -> AssetLibrary:
    return AssetLibrary.open(AssetsConfig(split="all"))


def _renderer(library: AssetLibrary, config: RenderConfig | None = None) -> Any:
    from scenegen.blender.clean_views import CleanViewRenderer

    return CleanViewRenderer(library, config or RenderConfig(), "cpu", threads=1)


def _geometry(uid: str) -> ObjectGeometry:
    mesh = _library().mesh(uid)
    return ObjectGeometry(uid, "", "", "", mesh.vertices, mesh.faces, surface_voxels(mesh.vertices, mesh.faces))


def _object_view(uid: str, kind: ViewKind, index: int, camera: Any, view: Any, crop: np.ndarray | None) -> ObjectView:
    return ObjectView(uid, kind, index, camera.size_px, camera.K_px, camera.matrix_world, view.rgba, view.depth, crop)


def _psnr(found: list[np.ndarray], truth: list[np.ndarray]) -> float:
    """On premultiplied colours, where the truth shows anything."""
    errors = [
        (premultiplied(a).astype(float) - premultiplied(b))[b[..., 3] > 0] for a, b in zip(found, truth, strict=True)
    ]
    return float(10 * np.log10(255**2 / np.mean(np.concatenate(errors) ** 2)))


def _timed(work: Work) -> tuple[float, Any]:
    started = time.process_time()
    value = work()
    return time.process_time() - started, value


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    main()
