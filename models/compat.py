"""The bugs of the released 3D-Fixer code, fixed by default and reproducible on request.

One value of this class is passed when a network or an inference helper is built (`reference_compat=`);
there is no other switch. `MENDED` is the default everywhere, `OFFICIAL` reproduces the released numbers,
and `dataclasses.replace(MENDED, ...)` reproduces a single one of them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReferenceCompat:
    """Which of the official bugs to reproduce. True = as released, False = fixed ("mended").

    dead_second_attention: the scene block's second self-attention starts with both its gate and its output
        projection at zero, so no gradient ever reaches it and the depth ratio never acts. Mended: only the
        gate starts at zero.
    frozen_input_blocks_at_inference: at inference the texturer sends its condition through the frozen base's
        input blocks although its own were trained for it. Mended: its own, in training and inference alike.
    visibility_without_depth_test: a voxel counts as visible, and receives the image feature it projects to,
        even when something lies in front of it. Mended: only voxels in front of the observed surface.
    interior_points_at_inference: training sees the points of an object's outline with half the confidence; the
        released inference drops them. Mended: inference sees what training saw.
    teacher_with_gradient: the texturer's alignment teacher is part of the graph. Mended: no gradient.
    frozen_networks_keep_gradients: frozen networks are merely put in eval mode and still collect `.grad`.
        Mended: `requires_grad_(False)`.
    """

    dead_second_attention: bool
    frozen_input_blocks_at_inference: bool
    visibility_without_depth_test: bool
    interior_points_at_inference: bool
    teacher_with_gradient: bool
    frozen_networks_keep_gradients: bool


MENDED = ReferenceCompat(
    dead_second_attention=False,
    frozen_input_blocks_at_inference=False,
    visibility_without_depth_test=False,
    interior_points_at_inference=False,
    teacher_with_gradient=False,
    frozen_networks_keep_gradients=False,
)
OFFICIAL = ReferenceCompat(
    dead_second_attention=True,
    frozen_input_blocks_at_inference=True,
    visibility_without_depth_test=True,
    interior_points_at_inference=True,
    teacher_with_gradient=True,
    frozen_networks_keep_gradients=True,
)
