"""Layers shared by the dense and the sparse networks."""
