"""Every README's map of its package, held against the files that are there.

A map is a table with a column headed "file" (or folder, room, script). What stands there in backticks is a path
from the folder of the README or from the root of the repository; a folder in the heading, as in "file in `server/`",
is where the paths of that table begin.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("scenegen", "models", "pipelines", "assets_manifest", "tests/benchmarks")

MAP_HEADING = re.compile(r"\b(files?|folders?|rooms?|scripts?)\b")
IN_BACKTICKS = re.compile(r"`([^`]+)`")
FILE_OR_FOLDER = re.compile(r"[\w./-]+(\.[a-z0-9]+|/)")
RULE = re.compile(r"[|:\- ]+")  # the line of dashes below a table's heading

READMES = [ROOT / "README.md", *sorted(file for package in PACKAGES for file in (ROOT / package).rglob("README.md"))]


def each_readme(test: Callable[[Path], None]) -> Callable[[Path], None]:
    return pytest.mark.parametrize("readme", READMES, ids=lambda path: str(path.relative_to(ROOT)))(test)


@each_readme
def test_every_file_that_a_map_names_exists(readme: Path):
    missing = [name for name, paths in _map(readme) if not any(path.exists() for path in paths)]
    assert missing == [], f"not there, seen from {readme.parent.relative_to(ROOT)}/ or the root: {', '.join(missing)}"


@each_readme
def test_a_map_names_every_module_of_its_folder(readme: Path):
    """And of the folders below that have no README of their own; `__init__.py` need not be named."""
    named = {path for _, paths in _map(readme) for path in paths}
    unnamed = [str(path.relative_to(readme.parent)) for path in _modules(readme) if path not in named]
    assert unnamed == [], f"add to the map, each with its one job: {', '.join(unnamed)}"


def _modules(readme: Path) -> list[Path]:
    """The modules for which this is the nearest README."""
    modules = [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]
    return [file for file in modules if file.name != "__init__.py" and _nearest_readme(file) == readme]


def _nearest_readme(path: Path) -> Path:
    return next(file for folder in path.parents if (file := folder / "README.md").exists())


def _map(readme: Path) -> Iterator[tuple[str, tuple[Path, ...]]]:
    """(name, what it may stand for) of every file and folder in the maps of a README."""
    for heading, rows in _tables(readme.read_text()):
        columns = [i for i, cell in enumerate(heading) if MAP_HEADING.search(cell)]
        for i in columns[:1]:
            start = next(iter(IN_BACKTICKS.findall(heading[i])), "")
            for row in rows:
                for name in filter(FILE_OR_FOLDER.fullmatch, IN_BACKTICKS.findall(row[i])):
                    here = readme.parent / start / name
                    yield name, (here,) if start else (here, ROOT / name)


def _tables(text: str) -> Iterator[tuple[list[str], list[list[str]]]]:
    """(cells of the heading, cells of each row) of every table in Markdown."""
    rows: list[list[str]] = []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            if not RULE.fullmatch(line):
                rows.append([cell.strip() for cell in line.strip().strip("|").split("|")])
        elif rows:
            yield rows[0], rows[1:]
            rows = []
