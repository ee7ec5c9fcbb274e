"""The lines of the README that read a row without this package, run as they stand, beside what the package reads."""

import dataclasses
import re
from pathlib import Path

import numpy as np

from scenegen.contract.records import FIRST
from tests.conftest import write_views

README = Path(__file__).resolve().parents[2] / "scenegen" / "contract" / "README.md"
HEADING = "## Reading without this package"


def test_plain_python_reads_what_the_package_reads_bit_for_bit(dataset_dir: Path, test_images, monkeypatch):
    lines = re.search(rf"^{HEADING}$.*?^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)[1]
    assert "scenegen" not in lines
    images = test_images(0)
    normal = np.random.default_rng(0).normal(size=images.normal_cam.shape).astype(np.float32)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    normal[np.isnan(images.normal_cam)] = np.nan
    view = write_views(dataset_dir, dataclasses.replace(images, normal_cam=normal), FIRST).view(0)
    (dataset_dir / "views-00000-of-00002.parquet").rename(dataset_dir / "views-00000-of-00001.parquet")
    monkeypatch.chdir(dataset_dir)
    read: dict = {}
    exec(compile(lines, README.name, "exec"), read)
    for name in ("rgb", "depth_m", "instance_id", "normal_cam"):
        assert read[name].dtype == getattr(view, name).dtype
        np.testing.assert_array_equal(read[name], getattr(view, name))
    assert np.isnan(view.depth_m).any() and np.isnan(view.normal_cam).any()
