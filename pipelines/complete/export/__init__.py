"""A completion as files that other programs read: GLB, Gaussian-splat PLY, JSON report."""
