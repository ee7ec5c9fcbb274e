"""What `--help` prints: a line for each command; or one command's options in groups, those that matter most first.

argparse holds the options (names, value types, help texts); the layout is ours.
"""

import argparse
import inspect
import re
import shutil
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, get_type_hints

MAIN = "main options"
"""The group that every command with many options begins with: the five that matter most."""
HelpGroups = Mapping[str, str]
"""Title of a group -> its options in order, as they are typed but without dashes, separated by spaces.

A command states it as a class variable `HELP_GROUPS`. Options of nested dataclasses (--camera.num-views) need no
entry: each of these classes is a group by itself, after the others.
"""
_INDENT = 2
_WIDEST = 110
_WIDEST_LABEL = 24
_NEGATION = re.compile(r"(?<=--|.\.)no-")  # of a switch: --no-download, --light.no-rotate
_NO_DEFAULT = re.compile(r"\s*\(default: (None|''||False)\)$")  # the text says what happens then; a switch is off


def subcommand_page(program: str, summary: str, summaries: Mapping[str, str]) -> str:
    """One line a command, and how to continue. summaries: of each command by name."""
    column = max(map(len, summaries)) + 2
    lines = [f"usage: {program} COMMAND [OPTIONS]", "", *textwrap.wrap(summary, _width()), "", "commands:"]
    lines += [f"{'':{_INDENT}}{name:{column}}{text}" for name, text in summaries.items()]
    lines += ["", f"{program} COMMAND --help explains one command and lists its options."]
    return "\n".join([*lines, f"{program.split()[0]} --version says what is installed."])


def command_page(program: str, command: type, parser: argparse.ArgumentParser) -> str:
    """The explanation of a command and all its options.

    command: a dataclass; its docstring explains it. parser: its options, as argparse knows them.
    """
    groups = {title: [*map(_row, actions)] for title, actions in option_groups(command, parser).items()}
    labels = [len(label) for rows in groups.values() for label, _ in rows if len(label) <= _WIDEST_LABEL]
    column = max(labels, default=_WIDEST_LABEL) + 2
    lines = [*_usage(program, parser), "", *_paragraphs(inspect.getdoc(command) or "")]
    for title, rows in groups.items():
        lines += ["", *textwrap.wrap(title if ": " in title else f"{title}:", _width()), *_rows(rows, column)]
    return "\n".join([*lines, "", "of every command:", *_rows([_HELP_ROW, _VERSION_ROW], column)])


def option_groups(command: type, parser: argparse.ArgumentParser) -> dict[str, list[argparse.Action]]:
    """The options by title of their group, in the order of the page; what no group names comes under "options"."""
    by_name = {option_name(action): action for action in parser._actions if "--help" not in action.option_strings}
    stated: HelpGroups = getattr(command, "HELP_GROUPS", {})
    found = {title: [by_name.pop(name) for name in names.split()] for title, names in stated.items()}
    for name, action in by_name.items():
        found.setdefault(_title_of(name, command), []).append(action)
    return found


def option_name(action: argparse.Action) -> str:
    """As it is typed, without dashes, such as camera.num-views; a positional argument's own name."""
    typed = [name for name in action.option_strings if not _NEGATION.search(name)]
    return typed[-1].lstrip("-") if typed else action.dest.rpartition(".")[2]  # aliases come first


_HELP_ROW = ("-h, --help", "Show this help.")
_VERSION_ROW = ("--version", "Show the versions of program, formats and what it runs on.")


def _title_of(name: str, command: type) -> str:
    """The group of an option that the command's own groups do not name: that of its nested dataclass."""
    group, nested, _ = name.partition(".")
    if not nested:
        return "options"
    kind = get_type_hints(command)[group.replace("-", "_")]
    return f"{group} options: {first_line(kind)}".removesuffix(".")


def first_line(documented: Any) -> str:
    """Of a docstring."""
    return (inspect.getdoc(documented) or "").split("\n")[0]


def _usage(program: str, parser: argparse.ArgumentParser) -> list[str]:
    """Positional arguments, required options, and that there are others."""
    needed = [_row(action)[0] for action in parser._actions if not action.option_strings or _is_required(action)]
    line = " ".join(["usage:", program, *needed, "[OPTIONS]"])
    return textwrap.wrap(line, _width(), subsequent_indent=" " * len("usage: "), break_on_hyphens=False)


def _is_required(action: argparse.Action) -> bool:
    return (action.help or "").endswith("(required)")  # tyro asks for them itself, later than argparse would


def _row(action: argparse.Action) -> tuple[str, str]:
    """(option with its value, what it does)."""
    names = action.option_strings[::-1]  # aliases come first
    if any(map(_NEGATION.search, names)):
        off = (action.help or "").endswith("(default: False)")  # then the negation says nothing new
        names = [name for name in action.option_strings if not (off and _NEGATION.search(name))]
    text = " ".join((action.help or "").replace("%%", "%").split())
    return " ".join([*filter(None, [", ".join(names), _value(action)])]), _NO_DEFAULT.sub("", text)


def _value(action: argparse.Action) -> str:
    """What is typed behind the option. None is left out: it is a default, and nothing that people type."""
    value = action.metavar if isinstance(action.metavar, str) else ""
    value = value.removeprefix("{None}|").replace("{None,", "{")
    value = re.sub(r"\{([^{},]+)\}", r"\1", value)  # a choice of one
    return re.sub(r"^\[(.+) \[(?:\1 )?\.\.\.\]\]$", r"[\1 ...]", value)  # [STR [STR ...]]


def _rows(rows: list[tuple[str, str]], column: int) -> Iterator[str]:
    """Labels on the left, texts on the right of the column; below a label that is longer than it."""
    for label, text in rows:
        texts = textwrap.wrap(text, _width() - _INDENT - column, break_on_hyphens=False)
        if len(label) > column - 2:
            yield from _long_label(label)
        else:
            yield f"{'':{_INDENT}}{label:{column}}{texts.pop(0) if texts else ''}".rstrip()
        yield from (f"{'':{_INDENT + column}}{line}" for line in texts)


def _long_label(label: str) -> list[str]:
    """A list of choices may be broken after its commas."""
    margin = {"initial_indent": " " * _INDENT, "subsequent_indent": " " * (2 * _INDENT)}
    if len(label) <= _width() - _INDENT:
        return [" " * _INDENT + label]
    wrapped = textwrap.wrap(label.replace(",", ", "), _width(), break_on_hyphens=False, **margin)  # type: ignore[arg-type]
    return [line.replace(", ", ",") for line in wrapped]


def _paragraphs(text: str) -> Iterator[str]:
    """Paragraphs filled to the width; lines that are indented stay as they are."""
    for number, paragraph in enumerate(text.split("\n\n")):
        if number:
            yield ""
        if paragraph.startswith(" "):
            yield paragraph
        else:
            yield from textwrap.wrap(paragraph, _width(), break_on_hyphens=False)


def _width() -> int:
    return min(shutil.get_terminal_size().columns, _WIDEST)
