"""Test folders are no packages; this one shares what it reads of the sources (`source_imports.py`)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
