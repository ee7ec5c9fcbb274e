"""One call of the pipeline: all instances go through one step after the other, each step in batches.

Shapes: H W image, V voxels, N latent voxels, T tokens, D their width, Z latent channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.gaussian_decoder import Gaussians
from pipelines.complete.compute_device import ComputeDevice
from pipelines.complete.networks import FixerNetworks
from pipelines.complete.results import (
    ColouredMesh,
    Completion,
    InstanceCallback,
    InstanceFailure,
    Placement,
    Progress,
    ProgressCallback,
    Step,
    StepDone,
)
from pipelines.complete.run import memory
from pipelines.complete.run.batches import BatchRunner
from pipelines.complete.run.noise import draw_noise
from pipelines.complete.run.tracker import InstanceTracker
from pipelines.complete.settings import Settings
from pipelines.complete.steps.carving import SeenSurface, without_floaters
from pipelines.complete.steps.decode import decode_gaussians, decode_meshes
from pipelines.complete.steps.encode import encode_instances, encode_scene, scene_picture
from pipelines.complete.steps.observe import NotEnoughSeen, Observation, observe
from pipelines.complete.steps.structure import StructureJob, StructureNetworks, complete_structure
from pipelines.complete.steps.texture import FramedCamera, Latent, TextureJob, texture
from pipelines.complete.surface.clean import cleaned
from pipelines.complete.surface.image_colours import coloured_by_image
from pipelines.complete.surface.smooth import smoothed
from pipelines.complete.view import Frame, SceneView
from pipelines.encoders.protocol import SceneFeatures
from pipelines.frames import Cube, fine_cube
from pipelines.samplers import SamplerConfig

ENCODED_AT_ONCE = 8  # instances, with four images each


@dataclass(frozen=True)
class Shape:
    """The completed voxels of an instance in its fine cube, and both of its cubes."""

    coarse: Cube
    fine: Cube
    voxels_V3: Tensor

    @property
    def T_world_grid(self) -> Tensor:
        """(4, 4) float64, from the fine cube to the world."""
        cube = _in_world(self.coarse, self.fine)
        T = torch.eye(4, dtype=torch.float64)
        T[:3, :3] *= cube.side
        T[:3, 3] = cube.centre_3
        return T


class SceneRun:
    """The state of one call. `complete` is called once."""

    def __init__(
        self,
        networks: FixerNetworks,
        compute: ComputeDevice,
        view: SceneView,
        settings: Settings,
        seed: int,
        depth_ratio: float,
        budget: memory.MemoryBudget,
        on_progress: ProgressCallback,
        on_found: InstanceCallback,
    ) -> None:
        self._networks, self._compute, self._view, self._settings = networks, compute, view, settings
        self._seed, self._depth_ratio, self._on_progress = seed, depth_ratio, on_progress
        self._samplers, self._colours = settings.samplers or networks.samplers, settings.colours or networks.colours
        self._thin = networks.thin if settings.thin is None else settings.thin
        carve = networks.carve if settings.carve is None else settings.carve
        self._surface = SeenSurface.of(view) if carve else None
        self._frame = Frame.of(view, settings.fit)
        self._picture_3SS = scene_picture(view, self._frame, networks.encoders.sizes.image_px)
        self._tracker = InstanceTracker(compute.device, seed, on_found)
        self._batches = BatchRunner(budget, self._tracker, on_progress)

    def complete(self, masks: Mapping[int, np.ndarray], instance_ids: Sequence[int]) -> Completion:
        seen = self._observe(masks, instance_ids)
        if seen:
            scene, tokens = self._encode(seen)
            shapes = self._structure(seen, tokens, scene)
            latents = self._texture(seen, shapes, tokens, scene)
            meshed = self._meshes(latents, seen, shapes)
            if self._settings.gaussians:
                self._gaussians([latents[i] for i in meshed])
        return Completion(
            checkpoint=self._networks.title,
            instances=self._tracker.results(instance_ids),
            camera=self._view.camera,
            seed=self._seed,
            depth_ratio=self._depth_ratio,
            samplers=self._samplers,
            device=str(self._compute.device),
            seconds=self._tracker.seconds(),
            peak_bytes=memory.peak_bytes(self._compute.device),
        )

    def _observe(self, masks: Mapping[int, np.ndarray], instance_ids: Sequence[int]) -> dict[int, Observation]:
        seen: dict[int, Observation] = {}
        for number, instance_id in enumerate(instance_ids, start=1):
            with self._tracker.timed("observe", [instance_id]):
                try:
                    seen[instance_id] = self._observed(instance_id, np.asarray(masks[instance_id], bool))
                except NotEnoughSeen as reason:
                    self._tracker.skip(instance_id, str(reason))
            self._on_progress(Progress("observe", number, len(instance_ids), (instance_id,)))
        return seen

    def _observed(self, instance_id: int, mask_HW: np.ndarray) -> Observation:
        self._view.check_mask(instance_id, mask_HW)
        one = observe(
            instance_id,
            mask_HW,
            self._view,
            self._frame,
            self._networks.encoders.sizes.image_px,
            self._settings.min_points,
            self._networks.reference_compat,
        )
        self._tracker.update(
            instance_id,
            points=len(one.points_P3),
            cut_by_border=one.cut_by_border,
            coarse=Placement.of(one.coarse),
            partial_V3=one.coarse_voxels().index_V3.to(torch.uint8).numpy(),
        )
        return one

    def _encode(self, seen: Mapping[int, Observation]) -> tuple[SceneFeatures, dict[int, Tensor]]:
        """The features of the scene, and the tokens (4, T, D) of each instance."""
        encoders, device = self._networks.encoders, self._compute.device
        tokens: dict[int, Tensor] = {}
        ids = list(seen)
        with self._compute.using(*encoders.networks()):
            with self._tracker.timed("encode", ids):
                scene = encode_scene(encoders, self._picture_3SS, device)
            for start in range(0, len(ids), ENCODED_AT_ONCE):
                batch = ids[start : start + ENCODED_AT_ONCE]
                with self._tracker.timed("encode", batch):
                    encoded = encode_instances(encoders, [seen[i] for i in batch], self._picture_3SS, device)
                tokens.update(zip(batch, encoded, strict=True))
                self._on_progress(Progress("encode", len(tokens), len(ids), tuple(batch)))
        return scene, tokens

    def _structure(
        self, seen: Mapping[int, Observation], tokens: Mapping[int, Tensor], scene: SceneFeatures
    ) -> dict[int, Shape]:
        """The coarse step, then the fine step in the cube around the coarse voxels."""
        shape = (self._networks.coarse.base.config.in_channels, *(self._networks.coarse.base.config.resolution,) * 3)
        with self._compute.using(*self._networks.of_structure()):
            jobs = [
                StructureJob(i, tokens[i], one.coarse_voxels(), draw_noise(shape, self._seed, i, "coarse"))
                for i, one in seen.items()
            ]
            coarse = self._sample_structure("coarse", self._networks.coarse, jobs, scene, self._samplers.coarse)
            coarse = self._carved(coarse, {i: one.coarse for i, one in seen.items()}, seen)
            cubes = {i: fine_cube(voxels_V3) for i, voxels_V3 in coarse.items()}
            for i, voxels_V3 in coarse.items():
                self._tracker.update(i, coarse_V3=voxels_V3.numpy(), fine=Placement.of(cubes[i]))
            jobs = [
                StructureJob(i, tokens[i], seen[i].fine_voxels(cube), draw_noise(shape, self._seed, i, "fine"))
                for i, cube in cubes.items()
            ]
            fine = self._sample_structure("fine", self._networks.fine, jobs, scene, self._samplers.fine)
            fine = self._carved(fine, {i: _in_world(seen[i].coarse, cube) for i, cube in cubes.items()}, seen)
        for i, voxels_V3 in fine.items():
            self._tracker.update(i, fine_V3=voxels_V3.numpy())
        return {i: Shape(seen[i].coarse, cubes[i], voxels_V3) for i, voxels_V3 in fine.items()}

    def _sample_structure(
        self,
        step: Step,
        networks: StructureNetworks,
        jobs: Sequence[StructureJob],
        scene: SceneFeatures,
        sampler: SamplerConfig,
    ) -> dict[int, Tensor]:
        sizes = self._networks.encoders.sizes
        each = memory.structure_bytes(
            networks.base, networks.branch, networks.decoder, sizes.tokens, sizes.scene_grid**2
        )
        thin = self._thin and step == "fine"

        def sample(batch: Sequence[StructureJob], step_done: StepDone) -> Sequence[Tensor | InstanceFailure]:
            return complete_structure(networks, batch, scene, self._depth_ratio, sampler, step_done, thin)

        return self._batches.run(step, sampler.steps, jobs, lambda _: each, sample)

    def _carved(
        self, voxels: dict[int, Tensor], cubes: Mapping[int, Cube], seen: Mapping[int, Observation]
    ) -> dict[int, Tensor]:
        """cubes: in the world."""
        surface = self._surface
        if surface is None:
            return voxels
        carved = {i: surface.carved(V3, cubes[i]) for i, V3 in voxels.items()}
        return {i: without_floaters(V3, seen[i].voxels(cubes[i])) for i, V3 in carved.items()}

    def _texture(
        self,
        seen: Mapping[int, Observation],
        shapes: Mapping[int, Shape],
        tokens: Mapping[int, Tensor],
        scene: SceneFeatures,
    ) -> dict[int, Latent]:
        networks, sampler = self._networks.texture, self._samplers.texture
        channels, tokens_each = networks.base.config.in_channels, self._networks.encoders.sizes.tokens
        camera = FramedCamera.of(self._view, self._frame)
        jobs = [
            TextureJob(
                i,
                tokens[i],
                shape.voxels_V3,
                shape.T_world_grid,
                seen[i].scene_mask_SS,
                draw_noise((len(shape.voxels_V3), channels), self._seed, i, "texture"),
            )
            for i, shape in shapes.items()
        ]

        def cost(job: TextureJob) -> int:
            return memory.texture_bytes(networks.base, networks.branch, tokens_each, len(job.voxels_N3))

        def sample(batch: Sequence[TextureJob], step_done: StepDone) -> Sequence[Latent | InstanceFailure]:
            return texture(networks, batch, scene, camera, sampler, step_done)

        with self._compute.using(*self._networks.of_texture()):
            latents: dict[int, Latent] = self._batches.run("texture", sampler.steps, jobs, cost, sample)
        for i, latent in latents.items():
            self._tracker.update(i, visible_share=latent.visible_share)
        return latents

    def _meshes(
        self, latents: Mapping[int, Latent], seen: Mapping[int, Observation], shapes: Mapping[int, Shape]
    ) -> dict[int, ColouredMesh]:
        decoder = self._networks.mesh_decoder

        def decode(batch: Sequence[Latent], step_done: StepDone) -> Sequence[ColouredMesh | InstanceFailure]:
            decoded = decode_meshes(decoder, batch, self._compute.device)
            if self._settings.clean:
                decoded = [cleaned(mesh) if isinstance(mesh, ColouredMesh) else mesh for mesh in decoded]
            step_done(1)
            return decoded

        with self._compute.using(decoder):
            meshes: dict[int, ColouredMesh] = self._batches.run("mesh", 1, [*latents.values()], self._mesh_cost, decode)
        for i, mesh in meshes.items():
            meshes[i] = self._finished(mesh, shapes[i], seen[i])
            self._tracker.update(i, mesh=meshes[i])
        return meshes

    def _finished(self, mesh: ColouredMesh, shape: Shape, seen: Observation) -> ColouredMesh:
        if self._thin:
            mesh = smoothed(mesh)
        return coloured_by_image(mesh, shape.T_world_grid, seen) if self._colours == "image" else mesh

    def _gaussians(self, latents: Sequence[Latent]) -> None:
        """Batches are as large as for the mesh decoder, which needs more memory."""
        decoder = self._networks.gaussian_decoder

        def decode(batch: Sequence[Latent], step_done: StepDone) -> Sequence[Gaussians | InstanceFailure]:
            decoded = decode_gaussians(decoder, batch, self._compute.device)
            step_done(1)
            return decoded

        with self._compute.using(decoder):
            clouds: dict[int, Gaussians] = self._batches.run("gaussians", 1, latents, self._mesh_cost, decode)
        for i, gaussians in clouds.items():
            self._tracker.update(i, gaussians=gaussians)

    def _mesh_cost(self, latent: Latent) -> int:
        return memory.mesh_bytes(self._networks.mesh_decoder, len(latent.voxels_N3))


def _in_world(coarse: Cube, fine: Cube) -> Cube:
    """The fine cube, which lies in the coarse one, in the world."""
    return Cube(coarse.to_outer(fine.centre_3), coarse.side * fine.side)
