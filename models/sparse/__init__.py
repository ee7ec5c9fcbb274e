"""Sparse voxel tensors and their operators."""
