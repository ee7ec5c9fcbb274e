"""Training samples as the data workers make them: decoded, cropped, voxelised and augmented.

They are stored compactly and without loss: images as uint8, grids as the coordinates of their occupied voxels. All
random numbers of a sample are drawn in the worker, from (seed, epoch, sample), so that the training process draws none
and resuming needs no state of a generator. All tensors are on the CPU.

Shapes: S image edge of the encoders, V and N voxels of the 64^3 grid (uint8 indices, sorted by x, y, z), C feature
channels, K views, H W their size. Grid frame: the unit cube [-0.5, 0.5]^3 of the stage; a voxel's centre is
(index + 0.5) / 64 - 0.5.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class SampleName:
    """Where a sample comes from, for messages and reports.

    dataset: number of the location. view: number of the view in its dataset. instance_id: of the object in that view.
    (View and instance of a lone asset are -1.) variant: number of the clean view that was drawn.
    """

    dataset: int
    asset_uid: str
    view: int = -1
    instance_id: int = -1
    variant: int = 0


@dataclass(frozen=True, slots=True)
class Draws:
    """The random numbers that a training step needs for one sample.

    time: standard normal, from which the recipe's FlowPath makes t. drop: uniform in [0, 1); the condition is dropped
    if it is below the recipe's probability. noise: float32, standard normal, of the shape of the latent:
    [8, 16, 16, 16] or [N, 8].
    """

    time: float
    drop: float
    noise: Tensor


@dataclass(frozen=True, slots=True)
class InstanceImages:
    """The images of one object for the image encoders, all uint8; masks are 0 or 255.

    scene_id: equal for samples with the same scene image, which is then stored and encoded once.
    scene_3SS: the whole image, resized to a square. scene_mask_SS: the object's mask in it.
    instance_4SS: RGB and mask of a square crop around the object, with its surroundings.
    clean_3SS: a clean view (an unoccluded render of the asset on black), for the alignment loss; None if the stage does
    not ask for it.
    """

    scene_id: int
    scene_3SS: Tensor
    scene_mask_SS: Tensor
    instance_4SS: Tensor
    clean_3SS: Tensor | None = None


@dataclass(frozen=True, slots=True)
class StructureSample:
    """One object seen in a scene, or a lone one, in the cube of its stage.

    target_V3: uint8, voxels of the complete surface. partial_V3: uint8, voxels of the visible points.
    confidence_V: float32 in (0, 1], mean confidence of the points in each of these.
    depth_ratio: alpha, the share of estimated depth in the points. estimator: whose depth it is; "gt" with alpha 0.
    T_world_cube: [4, 4] float64 similarity, augmented cube to world, in metres (for a lone object, to canonical
    coordinates).
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
    """The voxels of an asset, rotated or not, and one clean view of it, for structure VAE and structure base.

    target_V3: uint8. image_3SS: uint8, on black; None if the stage does not ask for it.
    """

    name: SampleName
    target_V3: Tensor
    image_3SS: Tensor | None
    draws: Draws


@dataclass(frozen=True, slots=True)
class LatentSample:
    """The structured latent of an asset, rotated or not, and one clean view of it, for the SLAT base.

    coords_N3: uint8. Either slat_N8 (float32, posterior mean as stored, not normalised) or feats_NC (float16, image
    features in the voxels, which the stage's frozen encoder makes a latent of) is given. image_3SS: uint8, on black.
    """

    name: SampleName
    coords_N3: Tensor
    slat_N8: Tensor | None
    feats_NC: Tensor | None
    image_3SS: Tensor | None
    draws: Draws


@dataclass(frozen=True, slots=True)
class TextureSample:
    """The structured latent of an object seen in a scene, for the texturer.

    coords_N3, slat_N8, feats_NC: as in LatentSample. T_world_grid: [4, 4] float64 similarity, grid frame to world.
    T_world_cam: [4, 4] float64, OpenCV axes. K_norm: [3, 3] float64, rows divided by the image's width and height.
    depth_SS: float32, true planar depth in metres for the depth test of visibility, resized (nearest) like the mask of
    the scene; NaN where it is unknown.
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
    """A structured latent and what it must decode to, for SLAT VAE, Gaussian decoder and mesh decoder.

    coords_N3, slat_N8, feats_NC: as in LatentSample. rgba_K4HW: uint8, views with straight alpha.
    K_norm_K33: float64, as in TextureSample. T_grid_cam_K44: float64, camera (OpenCV axes) to grid frame.
    vertices_P3 (float32, in the grid frame) and faces_F3 (int32): None if the stage does not ask for them.
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
