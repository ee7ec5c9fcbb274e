"""What `import scenegen`, `import pipelines` and `import models` promise."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import pipelines
import scenegen

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("package", [scenegen, pipelines])
def test_every_public_name_is_there_and_shown(package) -> None:
    pytest.importorskip("torch")
    assert package.__all__ == sorted(package.__all__)
    assert set(package.__all__) <= set(dir(package))
    for name in package.__all__:
        assert getattr(package, name).__doc__
    with pytest.raises(AttributeError, match="has no attribute 'nothing_of_ours'"):
        _ = package.nothing_of_ours


@pytest.mark.parametrize(
    ("package", "heavy"),
    [
        ("scenegen", ("numpy", "pyarrow", "torch", "bpy", "tyro", "ray")),
        ("pipelines", ("numpy", "pyarrow", "torch", "scenegen")),
        ("pipelines; pipelines.Camera", ("torch",)),
        ("scenegen; scenegen.View", ("torch", "bpy", "ray")),
    ],
)
def test_an_import_loads_only_what_is_used(package: str, heavy: tuple[str, ...]) -> None:
    code = f"import sys, {package}\nsys.exit(' '.join({{*sys.modules}} & {{*{heavy}}}) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr


def test_the_public_names_are_documented() -> None:
    pytest.importorskip("torch")
    import models

    pages = {scenegen: "scenegen/contract/README.md", pipelines: "pipelines/README.md", models: "models/README.md"}
    for package, page in pages.items():
        text = (ROOT / page).read_text()
        assert [name for name in package.__all__ if f"`{name}`" not in text and f"`{name}(" not in text] == []


@pytest.mark.parametrize("package", [scenegen, pipelines])
def test_type_checkers_are_told_the_same_names_as_the_interpreter(package) -> None:
    tree = ast.parse(Path(package.__file__).read_text())
    (told,) = (node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    known = {node.module: tuple(alias.name for alias in node.names) for node in told.body}
    assert known == package._MODULES
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert {name for names in known.values() for name in names} == {*package.__all__} - defined
