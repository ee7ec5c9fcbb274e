"""What the rays see is what Cycles draws, of opaque things: rays do not know that glass is clear."""

import subprocess
import sys

import pytest

PROGRAM = """
import dataclasses, os
import numpy as np
from scenegen.assets.glb import Glb
from scenegen.assets.hdris import HdriLibrary
from scenegen.assets.library import AssetLibrary
from scenegen.blender.renderer import BlenderRenderer
from scenegen.config import AssetsConfig, CameraConfig, DatasetConfig, RenderConfig
from scenegen.layout.sampler import sample_scene
from scenegen.layout.visibility import SceneCaster

config = DatasetConfig(
    num_scenes=1, assets=AssetsConfig(split="all"), camera=CameraConfig(num_views=2, resolution_px=96),
    render=dataclasses.replace(RenderConfig(), samples=1, denoise=False))
library, hdris = AssetLibrary.open(config.assets), HdriLibrary.open(config.assets)


def see_through(uid):
    materials = Glb.from_bytes(library.glb_path(uid).read_bytes()).json.get("materials", [])
    return any(material.get("alphaMode", "OPAQUE") != "OPAQUE" for material in materials)


library = AssetLibrary.open(config.assets, exclude=filter(see_through, library.records))
spec = sample_scene(config, library, hdris.uids, (), 0)
caster = SceneCaster.of(spec, library)
renderer = BlenderRenderer(library, hdris, None, config, device="cpu", threads=1)
for view, images in zip(spec.views, renderer.render(spec)):
    ids, depth = caster.view(view)
    same = ids == images.instance_id
    error = np.abs(depth - images.depth_m)[same & (ids > 0)]
    print("view", (~same).mean(), np.median(error), np.quantile(error, 0.999), flush=True)
os._exit(0)  # bpy may hang when the interpreter ends
"""


@pytest.mark.bpy
def test_rendered_ids_and_depth_are_those_of_the_ray_casts():
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=300)
    views = [list(map(float, line.split()[1:])) for line in result.stdout.splitlines() if line.startswith("view ")]
    assert len(views) == 2, result.stderr
    for differing, median_error_m, high_error_m in views:
        assert differing < 5e-4, "only pixels on an edge may fall on either side"
        assert median_error_m < 1e-5 and high_error_m < 1e-3
