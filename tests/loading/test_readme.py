"""The Python of scenegen/loading/README.md, run as it stands."""

import re
from pathlib import Path

import pytest
import torch

README = Path(__file__).parents[2] / "scenegen" / "loading" / "README.md"


def test_the_ten_lines_train_and_the_loop_after_them_resumes(dataset_dir, tmp_path_factory, monkeypatch):
    pytest.importorskip("torchdata")
    folder = tmp_path_factory.mktemp("reader")
    (folder / "data").symlink_to(dataset_dir)
    monkeypatch.chdir(folder)
    torch.manual_seed(0)
    train, resume = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    known: dict = {}
    exec(compile(train, "README.md", "exec"), known)
    first = known["loss"].item()
    loop = train[train.index("for batch") :]
    for _ in range(3):
        exec(compile(loop, "README.md", "exec"), known)
    assert known["loss"].item() < first
    exec(compile(resume, "README.md", "exec"), known)
    assert known["epoch"] == 1 and known["batch"]["rgb"].shape[1:] == (3, 24, 32)
    assert known["state"]
