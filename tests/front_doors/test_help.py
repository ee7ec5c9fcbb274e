"""What the help of all four commands looks like, and that it can be cut short."""

import os
import re
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.complete import cli as complete
from pipelines.complete.cli import COMPLETE_LINE, SERVE_LINE
from pipelines.evaluate import cli as evaluate
from pipelines.evaluate.cli import COMMAND_LINE as EVALUATE_LINE
from pipelines.train.cli import COMMAND_LINE as TRAIN_LINE
from scenegen.cli import command_line
from scenegen.contract.command.command_line import CommandLine, Subcommands, options
from scenegen.contract.command.help_page import MAIN, option_groups, option_name

ROOT = Path(__file__).resolve().parents[2]
MODULES = ("scenegen.cli", "pipelines.train.cli", "pipelines.complete.cli", "pipelines.evaluate.cli")


def commands(program: str, command: Any) -> Iterator[tuple[str, Any]]:
    """(as it is called, what it is) of a command and all below it."""
    yield program, command
    if isinstance(command, Subcommands):
        for name, each in command.commands.items():
            yield from commands(f"{program} {name}", each)


LINES = (command_line(), TRAIN_LINE, COMPLETE_LINE, SERVE_LINE, EVALUATE_LINE)
EVERY = {program: command for line in LINES for program, command in commands(line.program, line.command)}
WITH_OPTIONS = [program for program, command in EVERY.items() if not isinstance(command, Subcommands)]
CHOICES = [program for program, command in EVERY.items() if isinstance(command, Subcommands)]


def parser_of(program: str) -> ArgumentParser:
    (parser,) = CommandLine(program, EVERY[program]).parsers()
    return parser


def page(program: str, width: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(width))
    return CommandLine(program, EVERY[program]).help_page([]).splitlines()


@pytest.mark.parametrize("program", WITH_OPTIONS)
def test_the_five_options_that_matter_most_come_first(program: str) -> None:
    command = EVERY[program]
    kind = command if isinstance(command, type) else type(command)
    groups = option_groups(kind, parser_of(program))
    own = {title: names for title, names in groups.items() if "." not in option_name(names[0])}
    if sum(map(len, own.values())) > 5:
        assert next(iter(groups)) == MAIN and len(groups[MAIN]) == 5
        assert "options" not in groups  # every option is in a group that says what it is about
        assert [*groups][: len(own)] == [*own]  # what belongs to nested settings comes last
    else:
        assert [*groups] == ["options"]


@pytest.mark.parametrize("program", WITH_OPTIONS)
def test_every_option_is_explained_once_within_the_width(program: str, monkeypatch) -> None:
    parser = parser_of(program)
    for action in parser._actions:
        assert re.sub(r"\((default: .*|required|repeatable)\)", "", action.help or "").strip(), option_name(action)
    off = {f"--no-{option_name(each)}" for each in parser._actions if (each.help or "").endswith("(default: False)")}
    known = {*options(parser), "--version"} - {re.sub(r"^--no-(.*\.)", r"--\1no-", name) for name in off}
    for width in (80, 120):
        lines = page(program, width, monkeypatch)
        assert max(map(len, lines)) <= width
        labels = [line.split("  ")[1] for line in lines if line.startswith("  -")]
        shown = [name for label in labels for name in re.findall(r"(?<!\S)--?[^\s,]+", label)]
        assert sorted(shown) == sorted(known)
        assert "None" not in "\n".join(lines)


@pytest.mark.parametrize("program", CHOICES)
def test_a_choice_of_commands_is_listed_with_a_line_for_each(program: str, monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = page(program, 80, monkeypatch)
    assert max(map(len, lines)) <= 80
    listed = [line.split()[0] for line in lines[lines.index("commands:") + 1 :] if line.startswith("  ")]
    assert listed == [*EVERY[program].commands]

    words = program.split()[1:]
    for arguments, code in ((words, 2), ([*words, "--help"], 0)):
        with pytest.raises(SystemExit) as end:
            command_line().parse(arguments)
        out, err = capsys.readouterr()
        assert end.value.code == code and (out if code == 0 else err).splitlines() == lines
        assert (err if code == 0 else out) == ""


@pytest.mark.parametrize("line", ["render", "assets prepare --input x", "assets", "objects --steps"])
def test_the_version_can_be_asked_of_every_command(line: str, capsys) -> None:
    with pytest.raises(SystemExit) as end:
        command_line().parse([*line.split(), "--version"])
    assert end.value.code == 0 and capsys.readouterr().out.startswith("scenegen 0.")


@pytest.mark.parametrize("arguments", ["--help", "--version", "--tyro-print-completion bash"])
@pytest.mark.parametrize("module", MODULES)
def test_a_reader_who_leaves_ends_it_quietly(module: str, arguments: str) -> None:
    command = [sys.executable, "-m", module, *arguments.split()]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout and process.stderr
    process.stdout.close()  # as `| head` does when it has seen enough
    assert process.stderr.read() == "" and process.wait(120) == 0


@pytest.mark.parametrize(("cli", "command"), [(evaluate, "EvaluateCommand"), (complete, "CompleteCommand")])
def test_a_reader_who_leaves_before_the_result_ends_it_quietly(cli, command: str, monkeypatch, capsys) -> None:
    def run(self) -> int:
        sys.stdout.write("a result\n")
        return 1

    reader, writer = os.pipe()
    os.close(reader)
    monkeypatch.setattr(getattr(cli, command), "run", run)
    monkeypatch.setattr(sys, "stdout", os.fdopen(writer, "w"))
    with pytest.raises(SystemExit) as end:
        cli.main(["--out", "scene.glb"])
    assert end.value.code == 0 and capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("module", "typed", "offered"),
    [
        ("scenegen.cli", "scenegen re", {"render"}),
        ("scenegen.cli", "scenegen render --camera.num", {"--camera.num-views"}),
        ("pipelines.train.cli", "train-fixer --run", {"--run-dir"}),
        ("pipelines.complete.cli", "fixer-complete --depth-w", {"--depth-weights"}),
        ("pipelines.evaluate.cli", "fixer-evaluate --test-set fr", {"front3d"}),
    ],
)
def test_bash_completes_commands_options_and_values(tmp_path: Path, module: str, typed: str, offered: set[str]) -> None:
    script = tmp_path / "completion.bash"
    write = [sys.executable, "-m", module, "--tyro-write-completion", "bash", str(script)]
    subprocess.run(write, cwd=ROOT, check=True, timeout=120)
    program, words = typed.split()[0], typed.split()
    ask = (
        f"source {script}; COMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}; "
        f'$(complete -p {program} | sed "s/.*-F \\([^ ]*\\) .*/\\1/"); printf "%s\\n" "${{COMPREPLY[@]}}"'
    )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path}
    done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, timeout=120, env=env)
    assert {*done.stdout.split()} == offered, done.stderr
