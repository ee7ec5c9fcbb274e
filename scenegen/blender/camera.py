"""The scene's camera, which is set to one view after the other."""

import math

import bpy
import numpy as np
from mathutils import Matrix

from scenegen.layout.spec import CameraSpec

_OPENCV_TO_BLENDER = np.diag([1.0, -1.0, -1.0, 1.0])
NEAR_M, FAR_M = 0.01, 1000.0


def build_camera(scene: "bpy.types.Scene") -> None:
    """Add a camera to the scene."""
    data = bpy.data.cameras.new("camera")
    data.sensor_fit = "HORIZONTAL"
    data.clip_start, data.clip_end = NEAR_M, FAR_M
    scene.camera = bpy.data.objects.new("camera", data)
    scene.collection.objects.link(scene.camera)


def point_camera(scene: "bpy.types.Scene", camera: CameraSpec) -> None:
    """Set the scene's camera and image size to those of `camera`."""
    scene.render.resolution_x, scene.render.resolution_y = camera.size_px
    scene.render.resolution_percentage = 100
    data = scene.camera.data
    data.lens = data.sensor_width / (2.0 * math.tan(camera.fov_x_rad / 2.0))
    scene.camera.matrix_world = Matrix((camera.matrix_world @ _OPENCV_TO_BLENDER).tolist())
