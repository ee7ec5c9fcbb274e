"""Which file of the project imports which, read from the sources without running them."""

import ast
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("scenegen", "models", "pipelines")


@functools.cache
def modules() -> Mapping[str, Path]:
    """Every module of the project by its dotted name; a package's name stands for its `__init__.py`."""
    files = [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]
    return {_dotted_name(file): file for file in files}


@functools.cache
def project_imports() -> Mapping[str, frozenset[str]]:
    """module → modules of the project that it imports, also inside functions and for types only.

    The packages above an imported module, which Python imports on the way, do not count.
    """
    return {
        module: frozenset(name for name in imported_names(file) if name in modules() and name != module)
        for module, file in modules().items()
    }


@functools.cache
def imported_names(file: Path) -> frozenset[str]:
    """Dotted names of the modules that a file imports anywhere; other names that it imports from them are left out."""
    return frozenset(_names(ast.parse(file.read_text())))


def _names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module and node.level == 0, "imports are absolute"
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield submodule if submodule in modules() else node.module


def _dotted_name(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
