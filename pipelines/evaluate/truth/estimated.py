"""Any test set, with depth that an estimator finds in its images now."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pipelines.complete.inputs.estimators import LoadedEstimator
from pipelines.complete.view import Camera
from pipelines.evaluate.records import TruthSet, TruthView

_KEPT = 256  # maps, 1 GB at 1024 x 1024: a sweep and further systems ask for the same views again


@dataclass(frozen=True)
class EstimatedNow:
    """The estimator sees the image and is told the focal length, as `fixer-complete` does with a known camera."""

    truth: TruthSet
    estimator: LoadedEstimator
    _found: OrderedDict[str, np.ndarray] = field(default_factory=OrderedDict)

    @property
    def name(self) -> str:
        return self.truth.name

    @property
    def keys(self) -> Sequence[str]:
        return self.truth.keys

    def view(self, key: str) -> TruthView:
        return self.truth.view(key)

    def depth_estimate(self, key: str, estimator: str) -> tuple[np.ndarray, bool]:
        """estimator: the one that is loaded; there is no other."""
        facts = self.estimator.facts
        assert estimator == facts.name  # both come from one option
        if key not in self._found:
            view = self.truth.view(key)
            self._found[key] = self.estimator(view.rgb_HW3, Camera(view.K_px, view.T_world_cam)).depth_HW
            if len(self._found) > _KEPT:
                self._found.popitem(last=False)
        return self._found[key], facts.metric
