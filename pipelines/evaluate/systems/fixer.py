"""Our own system, run view by view: what `fixer-complete` does, without files in between."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelines.evaluate.records.shapes import Shape
from pipelines.evaluate.records.systems import Prediction, SceneInput, SystemAnswer

if TYPE_CHECKING:
    from pipelines.complete.pipeline import FixerPipeline
    from pipelines.complete.results import InstanceCompletion


@dataclass(frozen=True, slots=True)
class FixerSystem:
    """A pipeline that completes scenes now, without Gaussians, which are not judged. seed: of its noise."""

    name: str
    pipeline: FixerPipeline
    seed: int = 0
    reruns: bool = True

    def answers(self, variation: str) -> bool:
        return True

    def complete(self, scene: SceneInput) -> SystemAnswer:
        from pipelines.complete.settings import Settings
        from pipelines.complete.view import Camera

        completion = self.pipeline(
            scene.rgb_HW3,
            {i: scene.mask(i) for i in scene.instance_ids},
            scene.depth_HW,
            Camera(scene.K_px, scene.T_world_cam),
            depth_ratio=scene.depth_ratio,
            seed=self.seed,
            settings=Settings(gaussians=False),
        )
        return SystemAnswer(tuple(_prediction(one) for one in completion.instances))


def _prediction(one: InstanceCompletion) -> Prediction:
    if one.mesh is None:
        return Prediction(one.instance_id, None, one.outcome, one.reason)
    cube = Shape(one.mesh.vertices_V3, one.mesh.faces_F3, one.mesh.colours_V3)
    return Prediction(one.instance_id, cube.moved(one.T_world_obj), one.outcome, one.reason)
