"""Whether two surfaces face the same way.

Shapes: N points of the truth, M points of the prediction.
"""

from __future__ import annotations

import numpy as np

from pipelines.evaluate.metrics.distances import Neighbours


def normal_consistency(truth_normals_N3: np.ndarray, pred_normals_M3: np.ndarray, found: Neighbours) -> float:
    """Mean |cosine| between the unit normals of neighbouring points, both ways (Mescheder et al. 2019, section 4).

    1 is perfect, 0.5 is the expectation for unrelated directions. The sign is ignored: many meshes mix orientations.
    """
    to_pred_N = np.abs((truth_normals_N3 * pred_normals_M3[found.pred_index_N]).sum(axis=1))
    to_truth_M = np.abs((pred_normals_M3 * truth_normals_N3[found.truth_index_M]).sum(axis=1))
    return (float(to_pred_N.mean()) + float(to_truth_M.mean())) / 2
