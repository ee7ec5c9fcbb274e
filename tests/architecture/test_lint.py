"""What runs before a commit is what CI runs."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]


def test_the_hooks_before_a_commit_are_the_commands_of_make_lint():
    hooks = [
        hook
        for repo in yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
        for hook in repo["hooks"]
    ]
    assert [hook["entry"] for hook in hooks] == make_commands("lint")
    assert all(hook["language"] == "system" and not hook["pass_filenames"] for hook in hooks)


def test_ci_runs_what_make_lint_runs():
    assert "make test" in (ROOT / ".ci" / "run").read_text()
    assert "lint" in prerequisites("test")


def make_commands(target: str) -> list[str]:
    """The commands of a target of the Makefile, with the folder of the virtual environment written out."""
    recipe = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", _makefile(), re.MULTILINE)
    assert recipe, f"the Makefile has no target {target}"
    return [line.strip().replace("$(BIN)", ".venv/bin") for line in recipe[1].splitlines()]


def prerequisites(target: str) -> list[str]:
    found = re.search(rf"^{target}:([^#\n]*)", _makefile(), re.MULTILINE)
    assert found, f"the Makefile has no target {target}"
    return found[1].split()


def _makefile() -> str:
    return (ROOT / "Makefile").read_text()
