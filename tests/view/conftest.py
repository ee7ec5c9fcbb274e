import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS / "front_doors"), str(TESTS / "complete")]  # test folders are no packages
