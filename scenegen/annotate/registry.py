"""From a manifest record to a loaded estimator. Networks are imported when they are loaded, and not before."""

from scenegen.annotate.manifest import SIMULATED, EstimatorRecord
from scenegen.annotate.options import EstimatorOptions
from scenegen.annotate.protocol import DepthEstimator
from scenegen.annotate.weights import Weights
from scenegen.errors import UsageError


def load_estimator(record: EstimatorRecord, weights: Weights | None, options: EstimatorOptions) -> DepthEstimator:
    """The estimator on its device, ready to run. Raises UsageError without its weights, and whatever loading raises."""
    if record.name == SIMULATED:
        from scenegen.annotate.simulated import SimulatedEstimator

        return SimulatedEstimator(options.severity, options.seed)
    if weights is None:
        raise UsageError(f"{record.name} needs its weights to be loaded")
    from scenegen.annotate.networks import load_network

    return load_network(record.name, weights.file, options)
