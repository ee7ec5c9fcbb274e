"""What the tests of assets share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scenegen.assets.preparing.child_tools import ChildTools, TimeLimits
from scenegen.assets.sources.raw import RawAsset


@pytest.fixture(scope="session")
def tools() -> Iterator[ChildTools]:
    """Blender and CoACD in children of their own, warm for all tests."""
    with ChildTools(TimeLimits(bake_s=60, parts_s=30)) as opened:
        yield opened


@pytest.fixture
def raw():
    def make(path: Path, uid: str = "thing", **extra: object) -> RawAsset:
        return RawAsset(uid=uid, source="test", path=str(path), root=str(path.parent), split="train", **extra)

    return make
