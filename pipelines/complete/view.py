"""What the pipeline is shown: an image, its depth and its camera; and the frame in which the encoders see it.

Shapes: H W image. Frames: camera axes are OpenCV's (x right, y down, z forward); the world is z up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from pipelines.errors import UsageError

NARROWEST_DEG = math.pi  # that of a lens of 650 mm; a smaller number is probably an angle in radians
Fit = Literal["letterbox", "squeeze"]
"""How an image that is not square becomes square for the encoders.

letterbox: by black bars, so that pixels stay square, as in the square images that the networks are trained on.
squeeze: the whole image is squeezed, for networks that were trained on such images.
Points, crops and projections are exact in both.
"""


def level_camera() -> np.ndarray:
    """(4, 4) camera to world: at the origin, level, looking along +y of a world whose z is up."""
    return np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])


@dataclass(frozen=True)
class Camera:
    """A pinhole camera.

    K_px: (3, 3) float64, pixels; the centre of the first pixel is (0.5, 0.5).
    T_world_cam: (4, 4) float64, camera to world, OpenCV axes. Without a known pose a level camera at the origin.
    """

    K_px: np.ndarray
    T_world_cam: np.ndarray = field(default_factory=level_camera)

    @classmethod
    def from_fov(cls, fov_x_rad: float, size_px: tuple[int, int]) -> Camera:
        """Square pixels and the principal point in the middle. Raises UsageError for an angle that cannot be meant."""
        width, _ = size_px
        if not 0 < fov_x_rad < math.pi:
            raise UsageError(f"a field of view of {math.degrees(fov_x_rad):g} degrees is impossible; give 0 to 180")
        if math.degrees(fov_x_rad) < NARROWEST_DEG:
            raise UsageError(
                f"a field of view of {math.degrees(fov_x_rad):.3g} degrees is not believable; give degrees, not "
                f"radians ({math.degrees(fov_x_rad):.3g} rad are {math.degrees(math.degrees(fov_x_rad)):.3g} degrees)"
            )
        return cls.from_focal(width / 2 / math.tan(fov_x_rad / 2), size_px)

    @classmethod
    def from_focal(cls, focal_px: float, size_px: tuple[int, int]) -> Camera:
        """Square pixels and the principal point in the middle."""
        width, height = size_px
        return cls(np.array([[focal_px, 0, width / 2], [0, focal_px, height / 2], [0, 0, 1.0]]))


@dataclass(frozen=True)
class SceneView:
    """One image, as it was taken.

    rgb_HW3: uint8 sRGB.
    depth_HW: float32 planar depth, NaN where it is unknown; in metres, or in any unit, which the result then has too.
    Raises UsageError for shapes that do not fit together.
    """

    rgb_HW3: np.ndarray
    depth_HW: np.ndarray
    camera: Camera

    def __post_init__(self) -> None:
        if self.rgb_HW3.ndim != 3 or self.rgb_HW3.shape[2] != 3 or self.rgb_HW3.dtype != np.uint8:
            raise UsageError(f"the image must be (H, W, 3) uint8, not {self.rgb_HW3.shape} {self.rgb_HW3.dtype}")
        if self.depth_HW.shape != self.rgb_HW3.shape[:2]:
            height, width = self.depth_HW.shape
            raise UsageError(f"the depth is {width}x{height} px, the image {self.width}x{self.height}; make them equal")

    def check_mask(self, instance_id: int, mask_HW: np.ndarray) -> None:
        """Raises UsageError for a mask of another size."""
        if mask_HW.shape != self.depth_HW.shape:
            raise UsageError(
                f"the mask of instance {instance_id} has shape {mask_HW.shape}, the image {self.depth_HW.shape}"
            )

    @property
    def height(self) -> int:
        return int(self.rgb_HW3.shape[0])

    @property
    def width(self) -> int:
        return int(self.rgb_HW3.shape[1])


@dataclass(frozen=True)
class Frame:
    """What the encoders see before it is scaled to their square: the whole image, and the bars around it.

    width, height: of the frame. left, top: where the image lies in it. All in pixels.
    """

    width: int
    height: int
    left: int
    top: int

    @classmethod
    def of(cls, view: SceneView, fit: Fit) -> Frame:
        if fit == "squeeze":
            return cls(view.width, view.height, 0, 0)
        edge = max(view.width, view.height)
        return cls(edge, edge, (edge - view.width) // 2, (edge - view.height) // 2)

    def apply(self, image: np.ndarray, fill: Any) -> np.ndarray:
        """An image [H, W, ...] in the frame, with `fill` in the bars. No pixel of the image is lost or changed."""
        height, width = image.shape[:2]
        if (height, width) == (self.height, self.width):
            return image
        framed = np.full((self.height, self.width, *image.shape[2:]), fill, image.dtype)
        framed[self.top : self.top + height, self.left : self.left + width] = image
        return framed

    def K_norm(self, K_px: np.ndarray) -> np.ndarray:
        """(3, 3) float64: intrinsics normalised by the frame's width and height."""
        shift = np.array([[1.0, 0, self.left], [0, 1, self.top], [0, 0, 1]])
        return np.diag([1 / self.width, 1 / self.height, 1.0]) @ shift @ K_px
