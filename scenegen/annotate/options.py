"""What a user may set about the estimators; plain data, without torch."""

from dataclasses import dataclass
from typing import Any, Literal

from scenegen.errors import UsageError


@dataclass(frozen=True)
class EstimatorOptions:
    """How estimators run. Only seed, severity and max_other_views change what the maps show."""

    device: Literal["auto", "cuda", "cpu"] = "auto"
    """Where networks run; auto takes CUDA if there is one."""
    batch_size: int | None = None
    """Images at a time; None takes what suits each network."""
    severity: Literal["mild", "medium", "severe", "mixed"] = "mixed"
    """How wrong `simulated` is; mixed draws one for each view."""
    max_other_views: int = 7
    """Other views of the scene that VGGT is shown at most (half of the views are shown alone); 0 for none."""
    seed: int = 0
    """Of what is drawn: simulated errors, VGGT's other views, the samples of the robust fits."""

    def __post_init__(self) -> None:
        if self.batch_size is not None and self.batch_size < 1:
            raise UsageError(f"--batch-size is {self.batch_size}; it must be at least 1")
        if self.max_other_views < 0:
            raise UsageError(f"--max-other-views is {self.max_other_views}; it must be 0 or more")
        if self.seed < 0:
            raise UsageError(f"--seed is {self.seed}; it must be 0 or more")


ESTIMATORS = "moge2,vggt,depth_anything_v2,depth_pro"
"""The four of the paper, with commas as a user types them."""
ESTIMATORS_OF_PRESET = {"preview": "simulated"}
"""What a preset's annotate stage runs, where it is not the four."""
ERROR_MODEL = 1
"""Of `simulated`; raise it with any change of what it draws, so that older sidecars are made anew."""


def settings_of(name: str, options: EstimatorOptions) -> dict[str, Any]:
    """What decides an estimator's maps beside its weights and the images; goes into the sidecar's metadata."""
    if name == "simulated":
        return {"error_model": ERROR_MODEL, "severity": options.severity, "seed": options.seed}
    if name == "vggt":
        return {"max_other_views": options.max_other_views, "seed": options.seed}
    return {}
