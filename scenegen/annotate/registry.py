"""From a record to a loaded estimator. Networks are imported when they are loaded, and never before."""

from scenegen.annotate.manifest import SIMULATED, EstimatorRecord
from scenegen.annotate.options import EstimatorOptions
from scenegen.annotate.protocol import DepthEstimator
from scenegen.annotate.weights import Weights
from scenegen.errors import UsageError


def load_estimator(record: EstimatorRecord, weights: Weights | None, options: EstimatorOptions) -> DepthEstimator:
    """The estimator on its device, ready. Raises UsageError for a record without adapter, or what loading raises."""
    if record.name == SIMULATED:
        from scenegen.annotate.simulated import SimulatedEstimator

        return SimulatedEstimator(options.severity, options.seed)
    if weights is None:
        raise UsageError(f"{record.name} needs its weights to be loaded")
    batch = {} if options.batch_size is None else {"batch_size": options.batch_size}
    if record.name == "moge2":
        from scenegen.annotate.moge2 import Moge2

        return Moge2.load(weights, options.device, **batch)
    if record.name in ("depth_anything_v2", "depth_anything_v2_small"):
        from scenegen.annotate.depth_anything_v2 import DepthAnythingV2

        return DepthAnythingV2.load(weights, options.device, **batch)
    if record.name == "depth_pro":
        from scenegen.annotate.depth_pro import DepthPro

        return DepthPro.load(weights, options.device, **batch)
    if record.name == "vggt":
        from scenegen.annotate.vggt import Vggt

        return Vggt.load(weights, options.device, options.max_other_views, options.seed)
    raise UsageError(f"{record.name} is in the manifest but has no adapter in scenegen/annotate")
