"""From a manifest record to a loaded extractor. Networks are imported when they are loaded, and not before."""

from typing import Any

from scenegen.annotate.weights import Weights
from scenegen.errors import UsageError
from scenegen.objects.networks.manifest import ExtractorRecord
from scenegen.objects.networks.protocol import FeatureExtractor


def load_extractor(
    record: ExtractorRecord, weights: Weights | None, device: str = "auto", batch_size: int | None = None
) -> FeatureExtractor:
    """The extractor on its device, ready to run. weights: what `require_extractor` found.

    Raises UsageError for a record without an adapter, and whatever loading raises.
    """
    batch: dict[str, Any] = {} if batch_size is None else {"batch_size": batch_size}
    if record.name == "dinov2":
        from scenegen.objects.networks.dinov2 import DinoV2

        if weights is None:
            raise UsageError(f"{record.name} needs its weights to be loaded")
        return DinoV2.load(weights, device, **batch)
    if record.name == "efficientnet_lite0":
        from scenegen.objects.networks.efficientnet import EfficientNet

        return EfficientNet.load(record.image_px, device, **batch)
    raise UsageError(f"{record.name} is in the manifest but has no adapter in scenegen/objects/networks")
