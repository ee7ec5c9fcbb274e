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
from pipelines.complete.compute_device import Computer
from pipelines.complete.networks import FixerNetworks
from pipelines.complete.results import (
    ColouredMesh,
    Completion,
    InstanceFailure,
    Observer,
    Placement,
    Progress,
    Settings,
    Step,
    Watcher,
)
from pipelines.complete.run import memory
from pipelines.complete.run.memory import MemoryBudget, in_batches
from pipelines.complete.run.noise import draw_noise
from pipelines.complete.run.tracker import Ledger
from pipelines.complete.steps.carving import SeenSurface, without_crumbs
from pipelines.complete.steps.decode import decode_gaussians, decode_meshes
from pipelines.complete.steps.encode import encode_instances, encode_scene, scene_picture
from pipelines.complete.steps.observe import NotEnoughSeen, Observation, observe
from pipelines.complete.steps.structure import StructureJob, StructureNetworks, complete_structure
from pipelines.complete.steps.texture import FramedCamera, Latent, TextureJob, texture
from pipelines.complete.surface.image_colours import painted
from pipelines.complete.surface.smooth import smoothed
from pipelines.complete.view import Frame, SceneView
from pipelines.encoders.protocol import SceneFeatures
from pipelines.frames import Cube, fine_cube
from pipelines.samplers import SamplerConfig

ItemT = TypeVar("ItemT", StructureJob, TextureJob, Latent)
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
        computer: Computer,
        view: SceneView,
        settings: Settings,
        seed: int,
        depth_ratio: float,
        budget: MemoryBudget,
        observer: Observer,
        watcher: Watcher,
    ) -> None:
        self._networks, self._computer, self._view, self._settings = networks, computer, view, settings
        self._seed, self._depth_ratio, self._budget, self._observer = seed, depth_ratio, budget, observer
        self._frame = Frame.of(view, settings.fit)
        self._samplers, self._colours = settings.samplers or networks.samplers, settings.colours or networks.colours
        carve = networks.carve if settings.carve is None else settings.carve
        self._surface = SeenSurface.of(view) if carve else None
        self._thin = networks.thin if settings.thin is None else settings.thin
        self._picture_3SS = scene_picture(view, self._frame, networks.encoders.sizes.image_px)
        self._ledger = Ledger(computer.device, seed, watcher)

    def complete(self, masks: Mapping[int, np.ndarray], instance_ids: Sequence[int]) -> Completion:
        seen = self._observe(masks, instance_ids)
        if seen:
            scene, tokens = self._encode(seen)
            shapes = self._structure(seen, tokens, scene)
            latents = self._texture(seen, shapes, tokens, scene)
            self._decode(latents, seen, shapes)
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
                try:
                    seen[instance_id] = one = self._look(instance_id, np.asarray(masks[instance_id], bool))
                    self._ledger.note(
                        instance_id,
                        points=len(one.points_P3),
                        cut_by_border=one.cut_by_border,
                        coarse=_placement(one.coarse),
                        partial_V3=one.coarse_voxels().index_V3.to(torch.uint8).numpy(),
                    )
                except NotEnoughSeen as reason:
                    self._ledger.skip(instance_id, str(reason))
            self._observer(Progress("observe", number, len(instance_ids), (instance_id,)))
        return seen

    def _look(self, instance_id: int, mask_HW: np.ndarray) -> Observation:
        self._view.check_mask(instance_id, mask_HW)
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
            coarse = self._carved(coarse, {i: one.coarse for i, one in seen.items()}, seen)
            cubes = {i: fine_cube(voxels_V3) for i, voxels_V3 in coarse.items()}
            for i, voxels_V3 in coarse.items():
                self._ledger.note(i, coarse_V3=voxels_V3.numpy(), fine=_placement(cubes[i]))
            jobs = [
                StructureJob(i, tokens[i], seen[i].fine_voxels(cube), draw_noise(shape, self._seed, i, "fine"))
                for i, cube in cubes.items()
            ]
            fine = self._sample_structure("fine", self._networks.fine, jobs, scene, self._samplers.fine)
            fine = self._carved(fine, {i: _in_world(seen[i].coarse, cube) for i, cube in cubes.items()}, seen)
        for i, voxels_V3 in fine.items():
            self._ledger.note(i, fine_V3=voxels_V3.numpy())
        return {i: Shape(seen[i].coarse, cubes[i], voxels_V3) for i, voxels_V3 in fine.items()}

    def _carved(
        self, voxels: dict[int, Tensor], cubes: Mapping[int, Cube], seen: Mapping[int, Observation]
    ) -> dict[int, Tensor]:
        """cubes: in the world."""
        surface = self._surface
        if surface is None:
            return voxels
        carved = {i: surface.carved(V3, cubes[i]) for i, V3 in voxels.items()}
        return {i: without_crumbs(V3, seen[i].voxels(cubes[i])) for i, V3 in carved.items()}

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

        def run(batch: Sequence[StructureJob]) -> Sequence[Tensor | InstanceFailure]:
            done = self._counter(step, sampler.steps, batch)
            thin = self._thin and step == "fine"
            return complete_structure(networks, batch, scene, self._depth_ratio, sampler, done, thin)

        return self._batched(step, jobs, lambda job: each, run)

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
        tokens_each = self._networks.encoders.sizes.tokens

        def cost(job: TextureJob) -> int:
            return memory.texture_bytes(networks.base, networks.branch, tokens_each, len(job.voxels_N3))

        def run(batch: Sequence[TextureJob]) -> Sequence[Latent | InstanceFailure]:
            done = self._counter("texture", sampler.steps, batch)
            return texture(networks, batch, scene, camera, sampler, done)

        with self._computer.using(*self._networks.of_texture()):
            latents: dict[int, Latent] = self._batched("texture", jobs, cost, run)
        for i, latent in latents.items():
            self._ledger.note(i, visible_share=latent.visible_share)
        return latents

    def _decode(
        self, latents: Mapping[int, Latent], seen: Mapping[int, Observation], shapes: Mapping[int, Shape]
    ) -> None:
        device, decoder = self._computer.device, self._networks.mesh_decoder

        def cost(latent: Latent) -> int:
            return memory.mesh_bytes(decoder, len(latent.voxels_N3))

        def to_meshes(batch: Sequence[Latent]) -> Sequence[ColouredMesh | InstanceFailure]:
            meshes = decode_meshes(decoder, batch, device, self._settings.clean)
            self._counter("mesh", 1, batch)(1)
            return meshes

        with self._computer.using(decoder):
            meshes: dict[int, ColouredMesh] = self._batched("mesh", list(latents.values()), cost, to_meshes)
        if self._thin:
            meshes = {i: smoothed(mesh) for i, mesh in meshes.items()}
        if self._colours == "image":
            meshes = {i: painted(mesh, shapes[i].T_world_grid, seen[i]) for i, mesh in meshes.items()}
        for i, mesh in meshes.items():
            self._ledger.note(i, mesh=mesh)
        if self._settings.gaussians:
            self._splat([latents[i] for i in meshes], cost)

    def _splat(self, latents: Sequence[Latent], cost: Callable[[Latent], int]) -> None:
        """cost: of the mesh decoder, which is the larger one."""
        device, decoder = self._computer.device, self._networks.gaussian_decoder

        def to_gaussians(batch: Sequence[Latent]) -> Sequence[Gaussians | InstanceFailure]:
            clouds = decode_gaussians(decoder, batch, device)
            self._counter("gaussians", 1, batch)(1)
            return clouds

        with self._computer.using(decoder):
            clouds: dict[int, Gaussians] = self._batched("gaussians", latents, cost, to_gaussians)
        for i, gaussians in clouds.items():
            self._ledger.note(i, gaussians=gaussians)

    def _batched(
        self,
        step: Step,
        items: Sequence[ItemT],
        cost: Callable[[ItemT], int],
        run: Callable[[Sequence[ItemT]], Sequence[ResultT | InstanceFailure]],
    ) -> dict[int, ResultT]:
        """A step on all instances, in batches; results of those that did not fail."""

        def timed(batch: Sequence[ItemT]) -> Sequence[ResultT | InstanceFailure]:
            with self._ledger.measure(step, [item.instance_id for item in batch]):
                return run(batch)

        results = in_batches(items, cost, self._budget, timed)
        return self._ledger.sort_out(dict(zip([item.instance_id for item in items], results, strict=True)))

    def _counter(self, step: Step, total: int, batch: Sequence[ItemT]) -> Callable[[int], None]:
        """Tells the observer how far a batch is."""
        ids = tuple(item.instance_id for item in batch)
        return lambda done: self._observer(Progress(step, done, total, ids))

    def _framed_camera(self) -> FramedCamera:
        depth_HW = self._frame.apply(self._view.depth_HW, np.nan)
        return FramedCamera(
            T_world_cam=torch.from_numpy(np.asarray(self._view.camera.T_world_cam, np.float64)),
            K_norm=torch.from_numpy(self._frame.K_norm(np.asarray(self._view.camera.K_px, np.float64))),
            depth_HW=torch.from_numpy(np.where(depth_HW > 0, depth_HW, np.nan).astype(np.float32)),
        )


def _in_world(coarse: Cube, fine: Cube) -> Cube:
    """The fine cube, which lies in the coarse one, in the world."""
    return Cube(coarse.to_outer(fine.centre_3), coarse.side * fine.side)


def _placement(cube: Cube) -> Placement:
    x, y, z = cube.centre_3.tolist()
    return Placement((x, y, z), float(cube.side))
