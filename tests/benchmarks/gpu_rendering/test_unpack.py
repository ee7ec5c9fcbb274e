"""What was packed arrives whole, part by part, and starts from where it lies."""

import json
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.benchmarks.gpu_rendering import pack, unpack


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive in several parts; its interpreter prints what it was started with."""
    if not find_spec("bpy"):
        pytest.skip("nothing to pack")
    folder = tmp_path_factory.mktemp("packed")
    interpreter = folder / "interpreter"
    interpreter.write_text('#!/usr/bin/env bash\necho "$PYTHONHOME $@"\n')
    interpreter.chmod(0o755)
    version = pack.SITE.split("/")[2]
    items = [pack.Item(interpreter, f"python/bin/{version}"), pack.Item(Path(__file__), "lib/some.so")]
    pack.write(folder / "parts", items, 512, preset=0)
    return folder / "parts"


def test_parts_that_arrive_one_by_one_become_a_renderer_that_can_be_moved(parts: Path, tmp_path: Path):
    manifest, arriving, into = json.loads((parts / "manifest.json").read_text()), tmp_path / "arriving", tmp_path / "r"
    names = [part["name"] for part in manifest["parts"]]
    assert len(names) > 2
    for name in names:
        shutil.rmtree(arriving, ignore_errors=True)
        arriving.mkdir()
        shutil.copy(parts / name, arriving)
        said = unpack.receive(manifest, arriving, into)
        assert (name == names[-1]) == ("ready" in said) or f"missing: {names[-1]}" in said
    assert unpack.receive(manifest, arriving, into) == f"ready: {into}/bin/python"
    assert (into / "lib" / "some.so").read_bytes() == Path(__file__).read_bytes()
    moved = into.rename(tmp_path / "elsewhere")
    done = subprocess.run([moved / "bin" / "scenegen", "plan"], capture_output=True, text=True, check=True)
    assert done.stdout == f"{moved}/python -m scenegen.cli plan\n"


def test_a_damaged_part_and_an_old_system_are_refused(parts: Path, tmp_path: Path):
    manifest = json.loads((parts / "manifest.json").read_text())
    copy = Path(shutil.copytree(parts, tmp_path / "copy"))
    (copy / "part-001").write_bytes(b"damaged")
    with pytest.raises(unpack.Unusable, match="part-001 is damaged"):
        unpack.receive(manifest, copy, tmp_path / "into")
    with pytest.raises(unpack.Unusable, match=r"and 2\.999 is needed"):
        unpack.receive({**manifest, "glibc": "2.999"}, parts, tmp_path / "into")
