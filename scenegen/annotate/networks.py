"""The depth networks of `models` as estimators of a dataset's views."""

from collections.abc import Sequence
from pathlib import Path

from models.checkpoints import CheckpointError
from models.depth_estimators.protocol import DepthEstimator as Network
from models.depth_estimators.protocol import DepthMap
from models.depth_estimators.registry import load_depth_estimator
from models.depth_estimators.vggt import Vggt
from scenegen.annotate.options import EstimatorOptions
from scenegen.annotate.protocol import DepthEstimator, Prediction, Request, SingleView, rng_for_view
from scenegen.annotate.torch_setup import pick_device
from scenegen.errors import SceneGenError

_STREAM = 2


def load_network(name: str, weights: Path, options: EstimatorOptions) -> DepthEstimator:
    """The estimator on its device, ready. Raises SceneGenError for weights that do not fit."""
    device = pick_device(options.device)
    try:
        network = load_depth_estimator(name, weights, str(device), device.type == "cuda", options.batch_size)
    except CheckpointError as error:
        raise SceneGenError(f"{name}: {error}. Check --weights, or fetch the checkpoint again") from None
    if isinstance(network, Vggt):
        return SeveralViews(network, options.max_other_views, options.seed)
    return OneView(network)


class OneView(SingleView):
    """An estimator whose network gets each view by itself; see DepthEstimator."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def predict(self, requests: Sequence[Request]) -> list[Prediction]:
        return [_prediction(one) for one in self._network([request.rgb for request in requests])]


class SeveralViews:
    """VGGT, which may get several views of a scene at once; see DepthEstimator.

    Half of the views are estimated alone, the others together with up to max_other_views more views of the scene, as in
    the official training data, but with a seed.
    """

    def __init__(self, network: Vggt, max_other_views: int, seed: int) -> None:
        self._network, self._max_other_views, self._seed = network, max_other_views, seed

    def companions(self, scene_index: int, view_index: int, views: Sequence[int]) -> tuple[int, ...]:
        rng = rng_for_view(self._seed, scene_index, view_index, _STREAM)
        others = [view for view in views if view != view_index]
        most = min(self._max_other_views, len(others))
        if not most or rng.random() < 0.5:
            return ()
        return tuple(int(view) for view in rng.permutation(others)[: rng.integers(1, most + 1)])

    def predict(self, requests: Sequence[Request]) -> list[Prediction]:
        groups = [[one.rgb, *(rgb for _, rgb in one.other_views)] for one in requests]
        return [_prediction(one) for one in self._network.first_of(groups)]


def _prediction(one: DepthMap) -> Prediction:
    return Prediction(one.map_HW, one.confidence_HW, one.focal_px)
