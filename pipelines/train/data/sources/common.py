"""What all sources share: readers, a catalogue, and the costs and groups of samples."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from pipelines.errors import UsageError
from pipelines.train.data.bad_samples import BadRowPolicy
from pipelines.train.data.catalogue import Catalogue
from pipelines.train.data.options import DataOptions
from pipelines.train.data.readers import Readers

LATENT_SHAPE = (8, 16, 16, 16)
SLAT_CHANNELS = 8
STRUCTURE_TOKENS = 4096.0
"""Cost of a structure sample in tokens: the 16^3 cells of the latent grid, whatever is in them."""
ROTATED_SHARE = 0.5
"""Share of the samples of lone assets that are rotated; the others are in the canonical pose."""


class CatalogueSource:
    """The parts of SampleSource and Grouped that follow from the catalogue. Picklable; opens files when it loads.

    seed: of everything random about the samples.
    """

    def __init__(self, options: DataOptions, seed: int, readers: Readers, catalogue: Catalogue) -> None:
        self.options, self.seed, self.readers, self.catalogue = options, seed, readers, catalogue
        self.policy, self.per_view = BadRowPolicy(options.bad_rows, options.bad_row_budget), options.per_view

    def __len__(self) -> int:
        return len(self.catalogue)

    def asset_uids(self) -> tuple[str, ...]:
        """Uids of the assets of all samples, sorted."""
        return tuple(sorted(self.catalogue.assets[number].uid for number in np.unique(self.catalogue.asset_L)))

    def costs(self) -> np.ndarray:
        return np.full(len(self), STRUCTURE_TOKENS)

    def groups(self) -> np.ndarray:
        return self.catalogue.groups()

    def weights(self) -> np.ndarray:
        return self.catalogue.weight_L


class SparseSource(CatalogueSource):
    """For samples whose cost is their number of voxels: that of the canonical pose, which rotation changes little."""

    def costs(self) -> np.ndarray:
        return self.catalogue.num_voxels().astype(np.float64)


def require(what: str, wanted: str | None, known: Iterable[str], location: str) -> str:
    """`wanted`, if it is given and among the `known` names. Raises UsageError that lists these.

    what: kind of the table, and location: where the names are from, both for the message.
    """
    names = tuple(known)
    if wanted is None or wanted not in names:
        raise UsageError(
            f"this stage needs {what} of the assets ({wanted or 'no table is named'}); {location} has "
            f"{', '.join(names) or 'none'}; make them with: scenegen objects"
        )
    return wanted
