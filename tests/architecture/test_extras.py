"""What errors and READMEs tell people to install must exist."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXTRA = re.compile(r"(?:fixer3d|'\.)\[([a-z,]+)\]")


def test_every_extra_that_people_are_told_to_install_exists():
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    files = [
        *ROOT.glob("*.md"),
        *(file for top in ("scenegen", "models", "pipelines") for file in (ROOT / top).rglob("*")),
    ]
    named = {
        (extra, str(file.relative_to(ROOT)))
        for file in files
        if file.suffix in (".py", ".md")
        for group in EXTRA.findall(file.read_text())
        for extra in group.split(",")
    }
    assert named and [(extra, where) for extra, where in sorted(named) if extra not in known] == []
