"""Random numbers by which samples are put in order: hashes instead of a generator.

They depend on nothing but the code of this file, so that an order is the same in every version of NumPy, and any part
of it can be computed alone.
"""

import numpy as np


def random_keys(number: np.ndarray, seed: int, epoch: np.ndarray | int, purpose: int) -> np.ndarray:
    """uint64, uniformly distributed: SplitMix64 (Steele et al. 2014) over the arguments.

    number: of samples or groups. epoch: of all, or one for each. purpose: 0 to 3; two purposes share no numbers.
    """
    with np.errstate(over="ignore"):
        state = _mixed(np.full(1, seed * 4 + purpose, np.uint64))
        state = _mixed(state + np.asarray(epoch, np.uint64))
        return _mixed(state + number.astype(np.uint64))


def _mixed(state: np.ndarray) -> np.ndarray:
    state = state + np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
