"""The options of estimators that a user may set: plain data, without torch."""

from dataclasses import dataclass
from typing import Any, Literal

from scenegen.errors import UsageError


@dataclass(frozen=True)
class EstimatorOptions:
    """How estimators run. Only seed, severity and max_other_views change the maps."""

    device: Literal["auto", "cuda", "cpu"] = "auto"
    """Where networks run; auto uses CUDA if there is a GPU."""
    batch_size: int | None = None
    """Images at a time; None uses the default of each network."""
    severity: Literal["mild", "medium", "severe", "mixed"] = "mixed"
    """How large the errors of `simulated` are; mixed draws a severity for each view."""
    max_other_views: int = 7
    """The most other views of a scene that VGGT gets with a view (half of the views go alone); 0 for none."""
    seed: int = 0
    """Seed of all that is drawn: simulated errors, VGGT's other views, the samples of the robust fits."""

    def __post_init__(self) -> None:
        if self.batch_size is not None and self.batch_size < 1:
            raise UsageError(f"--batch-size is {self.batch_size}; it must be at least 1")
        if self.max_other_views < 0:
            raise UsageError(f"--max-other-views is {self.max_other_views}; it must be 0 or more")
        if self.seed < 0:
            raise UsageError(f"--seed is {self.seed}; it must be 0 or more")


ESTIMATORS = "moge2,vggt,depth_anything_v2,depth_pro"
"""The four estimators of the paper, as a user types them."""
ESTIMATORS_OF_PRESET = {"preview": "simulated"}
"""The estimators of a preset's annotate stage, where they are not those of the paper."""
ERROR_MODEL = 1
"""Version of `simulated`: raise it with any change of what it draws, so that older sidecars are made again."""


def settings_of(name: str, options: EstimatorOptions) -> dict[str, Any]:
    """What decides an estimator's maps besides its weights and the images; part of the sidecar's metadata."""
    if name == "simulated":
        return {"error_model": ERROR_MODEL, "severity": options.severity, "seed": options.seed}
    if name == "vggt":
        return {"max_other_views": options.max_other_views, "seed": options.seed}
    return {}
