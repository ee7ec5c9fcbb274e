"""Imports pybullet without the line about its build, which it would print into the output of every command."""

import os
import sys

sys.stderr.flush()
_kept = os.dup(2)
_nowhere = os.open(os.devnull, os.O_WRONLY)
os.dup2(_nowhere, 2)
try:
    import pybullet
finally:
    os.dup2(_kept, 2)
    os.close(_kept)
    os.close(_nowhere)

__all__ = ["pybullet"]
