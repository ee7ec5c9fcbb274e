"""The pipeline: one image, masks, depth and a camera → complete objects in place. One path for one and for many.

Shapes: H W image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from models.compat import MENDED, ReferenceCompat
from models.execution import DEFAULT_EXECUTION, Execution
from pipelines.complete.compute_device import ComputeDevice, Device, Precision
from pipelines.complete.instance_masks import Masks, chosen_ids, masks_by_id
from pipelines.complete.networks import FixerNetworks
from pipelines.complete.results import Completion, InstanceCallback, ProgressCallback, ignore
from pipelines.complete.run.memory import MemoryBudget
from pipelines.complete.run.scene_run import SceneRun
from pipelines.complete.settings import DEFAULT_SETTINGS, Settings
from pipelines.complete.view import Camera, SceneView
from pipelines.errors import UsageError
from pipelines.pretrained import packaged_checkpoint


class FixerPipeline:
    """A loaded system. Calls share nothing but the networks, so that several threads may queue for one pipeline.

    networks: of the checkpoint. compute: where they run.
    """

    def __init__(self, networks: FixerNetworks, compute: ComputeDevice) -> None:
        self.networks = networks
        self.compute = compute

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path | None = None,
        device: Device = "auto",
        precision: Precision = "auto",
        offload: bool = False,
        encoder_weights: Mapping[str, str | Path] | None = None,
        execution: Execution = DEFAULT_EXECUTION,
        reference_compat: ReferenceCompat = MENDED,
    ) -> FixerPipeline:
        """From a local folder or `owner/repo` on the hub, in the official pipeline layout (`.safetensors` or `.pt`).

        source: None for the small model that comes with this package; `networks.title` says what it is.
        device: "auto" is CUDA where there is a GPU.
        precision: "auto" is bfloat16 on CUDA and float32 on the CPU.
        offload: keep networks in main memory, and move each to the GPU for its step.
        encoder_weights: files of "dinov2" and "moge2", for checkpoints that use the official encoders.
        Raises CheckpointError, PipelineError, or UsageError for a device that does not exist.
        """
        compute = ComputeDevice.choose(device, precision, offload)  # before the networks: it fails at once
        place = packaged_checkpoint() if source is None else source
        return cls(FixerNetworks.read(place, encoder_weights, execution, reference_compat), compute)

    def __call__(
        self,
        image_HW3: np.ndarray,
        masks: Masks,
        depth: np.ndarray,
        camera: Camera,
        *,
        instances: Sequence[int] | None = None,
        depth_ratio: float = 1.0,
        seed: int = 0,
        settings: Settings = DEFAULT_SETTINGS,
        memory_gb: float | None = None,
        on_progress: ProgressCallback = ignore,
        on_found: InstanceCallback = ignore,
    ) -> Completion:
        """Complete the instances of one image.

        image_HW3: uint8 sRGB.
        masks: (H, W) integers with 0 for what is no instance, or id → (H, W) bool. Those may overlap, and may be loaded
            when they are accessed.
        depth: (H, W) planar depth, NaN or 0 where it is unknown.
        instances: ids to complete; None for all.
        depth_ratio: the share of the depth that is estimated, 0 for exact depth.
        memory_gb: for all that grows with the number of instances computed at once; None for most of what is free.
        on_progress: called after every sampler step. An exception that it raises ends the call.
        on_found: called with an instance whenever more is known of it.

        An instance that cannot be completed is skipped or fails with a reason, and the others continue. The result of
        an instance does not depend on the others, beyond rounding.

        Raises UsageError for inputs that do not fit together.
        """
        if not 0 <= depth_ratio <= 1:
            raise UsageError(f"the depth ratio is a share from 0 (exact depth) to 1 (estimated), not {depth_ratio:g}")
        view = SceneView(image_HW3, np.asarray(depth, np.float32), camera)
        by_id = masks_by_id(masks)
        chosen = chosen_ids(by_id, instances)
        run = SceneRun(
            networks=self.networks,
            compute=self.compute,
            view=view,
            settings=settings,
            seed=seed,
            depth_ratio=depth_ratio,
            budget=MemoryBudget.of(self.compute.device, memory_gb),
            on_progress=on_progress,
            on_found=on_found,
        )
        return run.complete(by_id, chosen)
