"""One picture of a completion: the image, and the completed objects from its camera and from the side.

Shapes: H W image, V vertices, F faces.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from pipelines.complete.export.instance_colours import colour_of
from pipelines.complete.export.scene import SceneObject
from pipelines.complete.results import Completion
from pipelines.complete.view import Camera
from pipelines.rendering import View, render_mesh
from pipelines.rendering.orbit import look_at

EDGE_PX = 512  # the longer edge of a pane
GAP_PX, CAPTION_PX = 6, 22
ASIDE_RAD, RAISED_RAD = math.radians(50), math.radians(30)  # the second camera: azimuth from the first, elevation
BACKGROUND = 0.96
MASK_SHARE = 0.45  # of the colour that marks an instance
FRAMED_SHARE = 0.75  # of the objects are within the frame of the second camera
FOCAL = 1.1  # focal length of the second camera, in image widths
LIGHT_3 = (0.4, -0.5, 0.8)  # z up


def write_picture(
    path: Path,
    rgb_HW3: np.ndarray,
    masks: Mapping[int, np.ndarray],
    completion: Completion,
    objects: Sequence[SceneObject],
) -> None:
    """Three panes, and the name of the checkpoint. objects: as they are in the scene file."""
    height, width = rgb_HW3.shape[:2]
    scale = EDGE_PX / max(height, width)
    size_px = max(1, round(width * scale)), max(1, round(height * scale))
    camera = completion.camera
    marks = {one.instance_id: masks[one.instance_id] for one in completion.instances}
    panes = {
        "image and masks": _fitted(marked(rgb_HW3, marks), size_px),
        "completed, from the same camera": drawn(objects, _view(camera, (width, height), size_px)),
        "completed, from the side": drawn(objects, _aside(objects, size_px, camera)),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet(panes, completion.checkpoint).save(path)


def marked(rgb_HW3: np.ndarray, masks: Mapping[int, np.ndarray]) -> np.ndarray:
    """(H, W, 3) uint8: each instance in a colour of its own."""
    picture = rgb_HW3.astype(np.float32)
    for instance_id, mask_HW in masks.items():
        picture[mask_HW] += MASK_SHARE * (colour_of(instance_id).astype(np.float32) - picture[mask_HW])
    return np.rint(picture).astype(np.uint8)


def drawn(objects: Sequence[SceneObject], view: View) -> np.ndarray:
    """(H, W, 3) uint8: all objects, shaded slightly by the direction of their faces."""
    width, height = view.size_px
    if not objects:
        return np.full((height, width, 3), round(255 * BACKGROUND), np.uint8)
    vertices_V3, faces_F3, colours_V3 = _joined(objects)
    seen = render_mesh(vertices_V3, faces_F3, view, colours_V3, background=BACKGROUND)
    assert seen.attributes_AHW is not None
    light_3 = torch.nn.functional.normalize(torch.tensor(LIGHT_3), dim=0)
    facing_HW = torch.einsum("chw,c->hw", seen.normal_3HW, light_3)
    lit_3HW = torch.where(seen.covered_HW, seen.attributes_AHW * (0.75 + 0.25 * facing_HW), seen.attributes_AHW)
    return (lit_3HW.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()


def sheet(panes: Mapping[str, np.ndarray], title: str) -> Image.Image:
    """Panes side by side with a caption above each, and below them the name of what made them."""
    height, width = next(iter(panes.values())).shape[:2]
    step = width + GAP_PX
    picture = Image.new("RGB", (len(panes) * step + GAP_PX, height + 2 * CAPTION_PX), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(13)
    for number, (caption, pane) in enumerate(panes.items()):
        draw.text((number * step + GAP_PX, 3), caption, fill="black", font=font)
        picture.paste(Image.fromarray(pane), (number * step + GAP_PX, CAPTION_PX))
    draw.text((GAP_PX, height + CAPTION_PX + 3), f"made by: {title}", fill="black", font=font)
    return picture


def _joined(objects: Sequence[SceneObject]) -> tuple[Tensor, Tensor, Tensor]:
    """World vertices float32, faces int64, vertex colours in [0, 1], sampled from the texture where there is one."""
    vertices, faces, colours, first = [], [], [], 0
    for one in objects:
        vertices.append(one.vertices_V3 * one.scale + np.asarray(one.translation, np.float32))
        faces.append(one.faces_F3.astype(np.int64) + first)
        colours.append(_vertex_colours(one))
        first += len(one.vertices_V3)
    joined = (np.concatenate(parts) for parts in (vertices, faces, colours))
    vertices_V3, faces_F3, colours_V3 = (torch.from_numpy(part) for part in joined)
    return vertices_V3.float(), faces_F3, colours_V3.float() / 255


def _vertex_colours(one: SceneObject) -> np.ndarray:
    if one.colours_V3 is not None:
        return one.colours_V3
    if one.texture is not None:
        edge = len(one.texture.image_SS3)
        column_V, row_V = np.clip((one.texture.uv_V2 * edge).astype(int), 0, edge - 1).T
        return one.texture.image_SS3[row_V, column_V]
    return np.broadcast_to(colour_of(one.instance_id), one.vertices_V3.shape)


def _view(camera: Camera, image_px: tuple[int, int], size_px: tuple[int, int]) -> View:
    rows = np.array([[image_px[0]], [image_px[1]], [1]])
    return View(torch.from_numpy(camera.T_world_cam), torch.from_numpy(camera.K_px / rows), size_px)


def _aside(objects: Sequence[SceneObject], size_px: tuple[int, int], camera: Camera) -> View:
    """A camera that looks at the middle of the objects, from the right of the image's camera and from above."""
    eye = camera.T_world_cam[:3, 3]
    places = np.array([one.translation for one in objects]) if objects else eye[None] + camera.T_world_cam[:3, 2]
    middle = np.median(places, axis=0)  # one far object must not make all others small
    away_from_middle = np.quantile(np.linalg.norm(places - middle, axis=1), FRAMED_SHARE)
    reach = float(away_from_middle + 0.6 * np.median([one.scale for one in objects] or [1.0]))
    azimuth = math.atan2(eye[1] - middle[1], eye[0] - middle[0]) + ASIDE_RAD
    flat, rise = math.cos(RAISED_RAD), math.sin(RAISED_RAD)
    direction = np.array([flat * math.cos(azimuth), flat * math.sin(azimuth), rise])
    width, height = size_px
    away = reach / math.sin(math.atan(0.5 / FOCAL * min(1.0, height / width)))
    eye_3, middle_3 = torch.from_numpy(middle + away * direction), torch.from_numpy(middle)
    pose = look_at(eye_3, middle_3, torch.tensor([0.0, 0.0, 1.0]))
    K_norm = torch.tensor([[FOCAL, 0, 0.5], [0, FOCAL * width / height, 0.5], [0, 0, 1]], dtype=torch.float64)
    return View(pose, K_norm, size_px)


def _fitted(picture: np.ndarray, size_px: tuple[int, int]) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).resize(size_px, Image.Resampling.LANCZOS))
