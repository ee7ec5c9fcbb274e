"""What a data worker makes: one training sample each, decoded, cropped, voxelised and augmented.

Everything is small and exact: images uint8, grids as the coordinates of their occupied voxels. All random numbers of a
sample are drawn in the worker from (seed, epoch, sample), so that the training process draws none and resuming needs
no generator's state. All tensors are on the CPU.

Shapes: S image edge of the encoders, V N voxels of the 64^3 grid (uint8 indices, sorted by x, y, z), C feature
channels, K views, H W their size. Grid frame: the unit cube [-0.5, 0.5]^3 of the stage; a voxel's centre is
(index + 0.5) / 64 - 0.5.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class SampleName:
    """Where a sample comes from, for logs, bad rows and reports.

    view: number of the view in its dataset; instance_id: in that view; both -1 for samples of an asset alone.
    variant: the rotation or clean view that was drawn.
    """

    dataset: int
    asset_uid: str
    view: int = -1
    instance_id: int = -1
    variant: int = 0


@dataclass(frozen=True, slots=True)
class Draws:
    """The random numbers that a training step needs for one sample.

    time: standard normal; the recipe's FlowPath makes t of it. drop: uniform in [0, 1); the condition is dropped
    when it is below the recipe's probability. noise: standard normal float32, in the shape of the latent
    ([8, 16, 16, 16], or [N, 8]).
    """

    time: float
    drop: float
    noise: Tensor


@dataclass(frozen=True, slots=True)
class InstanceImages:
    """What the image encoders see of one object; masks are 0 or 255.

    scene_id: equal for samples with the same scene image, which is then stored and encoded once. scene_3SS: uint8, the
    whole image squeezed to a square; scene_mask_SS: uint8, the object's mask in it. instance_4SS: uint8, RGB and mask,
    a square around the object with its surroundings. clean_3SS: uint8, an unoccluded render of the asset on black, for
    the alignment loss; None if the stage does not ask for it.
    """

    scene_id: int
    scene_3SS: Tensor
    scene_mask_SS: Tensor
    instance_4SS: Tensor
    clean_3SS: Tensor | None = None


@dataclass(frozen=True, slots=True)
class StructureSample:
    """One object seen in a scene (or alone), in the cube of its stage: coarse, fine, or the canonical one.

    target_V3: uint8, the voxels of the complete surface. partial_V3: uint8, those of the visible points;
    confidence_V: float32 in (0, 1], the mean confidence of their points.
    depth_ratio: the share alpha of estimated depth in the points. estimator: whose depth it was.
    T_world_cube: [4, 4] float64, stage cube, augmented, to world (metres; canonical lengths for an object alone).
    """

    name: SampleName
    images: InstanceImages
    target_V3: Tensor
    partial_V3: Tensor
    confidence_V: Tensor
    depth_ratio: float
    estimator: str
    T_world_cube: Tensor
    draws: Draws


@dataclass(frozen=True, slots=True)
class ShapeSample:
    """An asset's voxels, turned or not, with one clean image of it: structure VAE and structure base.

    image_3SS: uint8 on black; None if the stage does not ask for it.
    """

    name: SampleName
    target_V3: Tensor
    image_3SS: Tensor | None
    draws: Draws


@dataclass(frozen=True, slots=True)
class LatentSample:
    """An asset's structured latent, turned or not, with one clean image of it: SLAT base.

    coords_N3: uint8. slat_N8: float32 posterior mean as stored, not normalised; or None, and then feats_NC (float16
    image features in these voxels) is given for the stage's frozen encoder to make it.
    """

    name: SampleName
    coords_N3: Tensor
    slat_N8: Tensor | None
    feats_NC: Tensor | None
    image_3SS: Tensor | None
    draws: Draws


@dataclass(frozen=True, slots=True)
class TextureSample:
    """A structured latent and the scene it is seen in: texturer.

    The first five as in LatentSample. T_world_grid: [4, 4] float64, grid frame to world (a similarity).
    T_world_cam: [4, 4] float64, OpenCV. K_norm: [3, 3] float64, rows divided by the image's width and height.
    depth_SS: float32, planar metres, nearest-resized like the mask of the scene image, NaN where nothing is known:
    ground truth in training, for the depth test of visibility.
    """

    name: SampleName
    coords_N3: Tensor
    slat_N8: Tensor | None
    feats_NC: Tensor | None
    images: InstanceImages
    T_world_grid: Tensor
    T_world_cam: Tensor
    K_norm: Tensor
    depth_SS: Tensor
    draws: Draws


@dataclass(frozen=True, slots=True)
class RenderSample:
    """A structured latent and what it must decode to: SLAT VAE, Gaussian decoder, mesh decoder.

    rgba_K4HW: uint8, straight alpha. K_norm_K33, T_grid_cam_K44: float64, camera (OpenCV) to grid frame.
    vertices_P3: float32 and faces_F3: int32 in the grid frame; None if the stage does not ask for them.
    """

    name: SampleName
    coords_N3: Tensor
    slat_N8: Tensor | None
    feats_NC: Tensor | None
    rgba_K4HW: Tensor
    K_norm_K33: Tensor
    T_grid_cam_K44: Tensor
    vertices_P3: Tensor | None
    faces_F3: Tensor | None
    draws: Draws
