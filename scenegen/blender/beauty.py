"""The RGB image: Cycles path tracing with denoising, after the view transform, in 8-bit sRGB."""

from pathlib import Path

import bpy
import numpy as np
from PIL import Image

from scenegen.blender.runtime import version
from scenegen.config import RenderConfig
from scenegen.errors import UsageError

LIGHT_BOUNCES = 12  # in total; each kind of bounce has a limit of its own


def beauty_settings(scene: "bpy.types.Scene", config: RenderConfig, on_gpu: bool) -> None:
    """Set up `scene` for RGB images by `config`. Raises UsageError for an unknown view transform."""
    cycles = scene.cycles
    cycles.samples = config.samples
    cycles.use_adaptive_sampling = config.adaptive_threshold > 0
    cycles.adaptive_threshold = config.adaptive_threshold
    cycles.adaptive_min_samples = config.adaptive_min_samples
    cycles.sampling_pattern = config.sampling_pattern
    cycles.seed = 0
    cycles.max_bounces = LIGHT_BOUNCES
    cycles.diffuse_bounces = config.diffuse_bounces
    cycles.glossy_bounces = config.glossy_bounces
    cycles.transmission_bounces = config.transmission_bounces
    cycles.transparent_max_bounces = config.transparent_bounces
    cycles.pixel_filter_type = "BOX"
    cycles.use_denoising = config.denoise
    if config.denoise:
        cycles.denoiser = "OPENIMAGEDENOISE"
        cycles.denoising_prefilter = config.denoising_prefilter
        cycles.denoising_quality = "HIGH"
        cycles.denoising_use_gpu = on_gpu
    display_settings(scene, config.view_transform)
    version.write_bmp(scene.render.image_settings)


def display_settings(scene: "bpy.types.Scene", view_transform: str) -> None:
    """sRGB display, the named view transform, no look, no dithering (equal renders give equal bytes)."""
    scene.render.dither_intensity = 0.0
    scene.display_settings.display_device = "sRGB"
    try:
        scene.view_settings.view_transform = view_transform
    except TypeError as error:
        raise UsageError(f"render.view_transform is {view_transform!r}: {error}") from None
    scene.view_settings.look = "None"
    scene.view_settings.exposure = 0.0
    scene.view_settings.gamma = 1.0


def read_rgb(path: Path) -> np.ndarray:
    """Read a rendered image as (H, W, 3) uint8."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))
