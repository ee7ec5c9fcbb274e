"""Any test set, with depth that an estimator computes from its images now."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pipelines.complete.inputs.estimators import LoadedEstimator
from pipelines.complete.view import Camera
from pipelines.evaluate.records.truth import TruthSet, TruthView

_MAPS_KEPT = 256  # 1 GB at 1024 x 1024; a sweep and further systems ask for the same views again


@dataclass(frozen=True)
class EstimatedDepthTruth:
    """The estimator gets the image and the true focal length, as in `fixer-complete` with a known camera."""

    truth: TruthSet
    estimator: LoadedEstimator
    _maps: OrderedDict[str, np.ndarray] = field(default_factory=OrderedDict)

    @property
    def name(self) -> str:
        return self.truth.name

    @property
    def keys(self) -> Sequence[str]:
        return self.truth.keys

    def view(self, key: str) -> TruthView:
        return self.truth.view(key)

    def depth_estimate(self, key: str, estimator: str) -> tuple[np.ndarray, bool]:
        """estimator: the name of the one that is loaded."""
        facts = self.estimator.facts
        assert estimator == facts.name  # both come from one option
        if key not in self._maps:
            view = self.truth.view(key)
            self._maps[key] = self.estimator(view.rgb_HW3, Camera(view.K_px, view.T_world_cam)).depth_HW
            if len(self._maps) > _MAPS_KEPT:
                self._maps.popitem(last=False)
        return self._maps[key], facts.metric
