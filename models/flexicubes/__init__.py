"""FlexiCubes: differentiable dual surface extraction from the cubes around a surface."""
