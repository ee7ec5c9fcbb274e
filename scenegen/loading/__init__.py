"""Views of a dataset as PyTorch samples, for people who train networks of their own."""

from importlib.util import find_spec

if find_spec("torch") is None:
    raise ImportError("PyTorch is not installed, and its datasets need it; run: pip install 'fixer3d[train]'")
