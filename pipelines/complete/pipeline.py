"""The pipeline: one image, masks, depth and a camera -> complete objects in place. One path for one and for many.

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
    """A loaded system. Calls share nothing but the networks, so that several threads may queue for one pipeline."""

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
        device: "auto" is CUDA where there is one. precision: "auto" is bfloat16 on CUDA and float32 on the CPU.
        offload: keep networks in main memory and move them to the GPU for their step.
        Raises CheckpointError, PipelineError, or UsageError for a device that is not there.
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

        image_HW3: uint8 sRGB. masks: (H, W) integers with 0 for what is no instance, or id -> (H, W) bool (they may
        overlap, and may be loaded on access). depth: (H, W) planar, NaN or 0 unknown.
        instances: ids to complete, None for all. depth_ratio: how much of the depth is estimated, 0 for exact depth.
        memory_gb: for what grows with the number of instances computed at once; None for most of what is free.
        on_progress: told of every sampler step; an exception that it raises ends the call.
        on_found: told of every instance whenever more is known of it.
        An instance that cannot be completed is skipped or failed with a reason, and the others go on; its result does
        not depend on the others, beyond rounding. Raises UsageError for inputs that do not fit together.
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
