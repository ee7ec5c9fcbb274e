"""One call of the pipeline: every instance through the steps, step by step, each step in batches.

Shapes: H W image, V voxels, N latent voxels, T tokens, D their width, Z latent channels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from models.gaussian_decoder import Gaussians
from pipelines.complete import memory
from pipelines.complete.computer import Computer
from pipelines.complete.decode import decode_gaussians, decode_meshes
from pipelines.complete.encode import encode_instances, encode_scene, scene_picture
from pipelines.complete.ledger import Ledger
from pipelines.complete.memory import MemoryBudget, in_batches
from pipelines.complete.networks import FixerNetworks
from pipelines.complete.noise import draw_noise
from pipelines.complete.observe import NotEnoughSeen, Observation, observe
from pipelines.complete.records import (
    ColouredMesh,
    Completion,
    InstanceFailure,
    Observer,
    Placement,
    Progress,
    Settings,
    Step,
)
from pipelines.complete.structure import StructureJob, StructureNetworks, complete_structure
from pipelines.complete.texture import FramedCamera, Latent, TextureJob, texture
from pipelines.complete.view import Frame, SceneView
from pipelines.encoders.protocol import SceneFeatures
from pipelines.frames import Cube, fine_cube
from pipelines.samplers import SamplerConfig

JobT = TypeVar("JobT", StructureJob, TextureJob)
ResultT = TypeVar("ResultT")
ENCODED_AT_ONCE = 8  # instances, four images each


@dataclass(frozen=True)
class Shape:
    """The voxels of an instance in its fine cube, and where that cube is."""

    coarse: Cube
    fine: Cube
    voxels_V3: Tensor

    @property
    def T_world_grid(self) -> Tensor:
        """(4, 4) float64."""
        side = self.coarse.side * self.fine.side
        T = torch.eye(4, dtype=torch.float64)
        T[:3, :3] *= side
        T[:3, 3] = self.coarse.to_outer(self.fine.centre_3)
        return T


class SceneRun:
    """The state of one call. `complete` is called once."""

    def __init__(
        self,
        networks: FixerNetworks,
        computer: Computer,
        view: SceneView,
        settings: Settings,
        seed: int,
        depth_ratio: float,
        budget: MemoryBudget,
        observer: Observer,
    ) -> None:
        self._networks, self._computer, self._view, self._settings = networks, computer, view, settings
        self._seed, self._depth_ratio, self._budget, self._observer = seed, depth_ratio, budget, observer
        self._frame = Frame.of(view, settings.fit)
        self._samplers = settings.samplers or networks.samplers
        self._picture_3SS = scene_picture(view, self._frame, networks.encoders.sizes.image_px)
        self._ledger = Ledger(computer.device, seed)

    def complete(self, masks: Mapping[int, np.ndarray], instance_ids: Sequence[int]) -> Completion:
        seen = self._observe(masks, instance_ids)
        if seen:
            scene, tokens = self._encode(seen)
            shapes = self._structure(seen, tokens, scene)
            latents = self._texture(seen, shapes, tokens, scene)
            self._decode(latents)
        return Completion(
            checkpoint=self._networks.title,
            instances=self._ledger.results(instance_ids),
            camera=self._view.camera,
            seed=self._seed,
            depth_ratio=self._depth_ratio,
            samplers=self._samplers,
            device=str(self._computer.device),
            seconds=self._ledger.seconds(),
            peak_bytes=memory.peak_bytes(self._computer.device),
        )

    def _observe(self, masks: Mapping[int, np.ndarray], instance_ids: Sequence[int]) -> dict[int, Observation]:
        seen: dict[int, Observation] = {}
        for number, instance_id in enumerate(instance_ids, start=1):
            with self._ledger.measure("observe", [instance_id]):
                mask_HW = np.asarray(masks[instance_id], bool)
                self._view.check_mask(instance_id, mask_HW)
                try:
                    one = self._look(instance_id, mask_HW)
                except NotEnoughSeen as reason:
                    self._ledger.skip(instance_id, str(reason))
                    continue
            seen[instance_id] = one
            self._ledger.note(
                instance_id,
                points=len(one.points_P3),
                cut_by_border=one.cut_by_border,
                coarse=_placement(one.coarse),
                partial_V3=one.coarse_voxels().index_V3.to(torch.uint8).numpy(),
            )
            self._observer(Progress("observe", number, len(instance_ids), (instance_id,)))
        return seen

    def _look(self, instance_id: int, mask_HW: np.ndarray) -> Observation:
        return observe(
            instance_id,
            mask_HW,
            self._view,
            self._frame,
            self._networks.encoders.sizes.image_px,
            self._settings.min_points,
            self._networks.reference_compat,
        )

    def _encode(self, seen: Mapping[int, Observation]) -> tuple[SceneFeatures, dict[int, Tensor]]:
        encoders, device = self._networks.encoders, self._computer.device
        tokens: dict[int, Tensor] = {}
        ids = list(seen)
        with self._computer.using(*encoders.networks()):
            with self._ledger.measure("encode", ids):
                scene = encode_scene(encoders, self._picture_3SS, device)
            for start in range(0, len(ids), ENCODED_AT_ONCE):
                batch = ids[start : start + ENCODED_AT_ONCE]
                with self._ledger.measure("encode", batch):
                    encoded = encode_instances(encoders, [seen[i] for i in batch], self._picture_3SS, device)
                tokens.update(zip(batch, encoded, strict=True))
                self._observer(Progress("encode", len(tokens), len(ids), tuple(batch)))
        return scene, tokens

    def _structure(
        self, seen: Mapping[int, Observation], tokens: Mapping[int, Tensor], scene: SceneFeatures
    ) -> dict[int, Shape]:
        """The coarse step, then the fine one in the cube that the coarse one found."""
        shape = (self._networks.coarse.base.config.in_channels, *(self._networks.coarse.base.config.resolution,) * 3)
        with self._computer.using(*self._networks.of_structure()):
            jobs = [
                StructureJob(i, tokens[i], one.coarse_voxels(), draw_noise(shape, self._seed, i, "coarse"))
                for i, one in seen.items()
            ]
            coarse = self._sample_structure("coarse", self._networks.coarse, jobs, scene, self._samplers.coarse)
            cubes = {i: fine_cube(voxels_V3) for i, voxels_V3 in coarse.items()}
            for i, voxels_V3 in coarse.items():
                self._ledger.note(i, coarse_V3=voxels_V3.numpy(), fine=_placement(cubes[i]))
            jobs = [
                StructureJob(i, tokens[i], seen[i].fine_voxels(cube), draw_noise(shape, self._seed, i, "fine"))
                for i, cube in cubes.items()
            ]
            fine = self._sample_structure("fine", self._networks.fine, jobs, scene, self._samplers.fine)
        for i, voxels_V3 in fine.items():
            self._ledger.note(i, fine_V3=voxels_V3.numpy())
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
        return self._sampled(
            step,
            jobs,
            lambda job: each,
            sampler,
            lambda batch, done: complete_structure(networks, batch, scene, self._depth_ratio, sampler, done),
        )

    def _texture(
        self,
        seen: Mapping[int, Observation],
        shapes: Mapping[int, Shape],
        tokens: Mapping[int, Tensor],
        scene: SceneFeatures,
    ) -> dict[int, Latent]:
        networks, sampler = self._networks.texture, self._samplers.texture
        channels = networks.base.config.in_channels
        camera = self._framed_camera()
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
        count = self._networks.encoders.sizes.tokens
        with self._computer.using(*self._networks.of_texture()):
            latents = self._sampled(
                "texture",
                jobs,
                lambda job: memory.texture_bytes(networks.base, networks.branch, count, len(job.voxels_N3)),
                sampler,
                lambda batch, done: texture(networks, batch, scene, camera, sampler, done),
            )
        for i, latent in latents.items():
            self._ledger.note(i, visible_share=latent.visible_share)
        return latents

    def _sampled(
        self,
        step: Step,
        jobs: Sequence[JobT],
        cost: Callable[[JobT], int],
        sampler: SamplerConfig,
        run: Callable[[Sequence[JobT], Callable[[int], None]], Sequence[ResultT | InstanceFailure]],
    ) -> dict[int, ResultT]:
        """A sampler on all jobs, in batches; results of the instances that did not fail."""

        def batch(some: Sequence[JobT]) -> Sequence[ResultT | InstanceFailure]:
            ids = tuple(job.instance_id for job in some)
            with self._ledger.measure(step, ids):
                return run(some, lambda number: self._observer(Progress(step, number, sampler.steps, ids)))

        results = in_batches(jobs, cost, self._budget, batch)
        return self._ledger.sort_out(dict(zip([job.instance_id for job in jobs], results, strict=True)))

    def _decode(self, latents: Mapping[int, Latent]) -> None:
        device, decoder = self._computer.device, self._networks.mesh_decoder
        with self._computer.using(decoder):
            meshes: dict[int, ColouredMesh] = self._decoded(
                "mesh", latents, lambda some: decode_meshes(decoder, some, device)
            )
        for i, mesh in meshes.items():
            self._ledger.note(i, mesh=mesh)
        if not self._settings.gaussians:
            return
        splatter = self._networks.gaussian_decoder
        with self._computer.using(splatter):
            clouds: dict[int, Gaussians] = self._decoded(
                "gaussians", {i: latents[i] for i in meshes}, lambda some: decode_gaussians(splatter, some, device)
            )
        for i, gaussians in clouds.items():
            self._ledger.note(i, gaussians=gaussians)

    def _decoded(
        self,
        step: Step,
        latents: Mapping[int, Latent],
        run: Callable[[Sequence[Latent]], Sequence[ResultT | InstanceFailure]],
    ) -> dict[int, ResultT]:
        ids = {id(latent): i for i, latent in latents.items()}

        def batch(some: Sequence[Latent]) -> Sequence[ResultT | InstanceFailure]:
            members = tuple(ids[id(latent)] for latent in some)
            with self._ledger.measure(step, members):
                decoded = run(some)
            self._observer(Progress(step, len(members), len(latents), members))
            return decoded

        cost = lambda latent: memory.mesh_bytes(self._networks.mesh_decoder, len(latent.voxels_N3))  # noqa: E731
        results = in_batches(list(latents.values()), cost, self._budget, batch)
        return self._ledger.sort_out(dict(zip(latents, results, strict=True)))

    def _framed_camera(self) -> FramedCamera:
        depth_HW = self._frame.apply(self._view.depth_HW, np.nan)
        return FramedCamera(
            T_world_cam=torch.from_numpy(np.asarray(self._view.camera.T_world_cam, np.float64)),
            K_norm=torch.from_numpy(self._frame.K_norm(np.asarray(self._view.camera.K_px, np.float64))),
            depth_HW=torch.from_numpy(np.where(depth_HW > 0, depth_HW, np.nan).astype(np.float32)),
        )


def _placement(cube: Cube) -> Placement:
    x, y, z = cube.centre_3.tolist()
    return Placement((x, y, z), float(cube.side))
