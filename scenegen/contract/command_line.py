"""How the commands of both halves read what was typed: `--version`, and one line for an option that does not exist.

Needs neither bpy nor torch: versions are those of the installed packages.
"""

import argparse
import contextlib
import difflib
import inspect
import io
import platform
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, cast

import tyro

import scenegen

VERSION = "--version"
_EXIT_USAGE = 2
_PACKAGES = ("bpy", "torch", "ray")
_OPTION = re.compile(r"--?[A-Za-z]")
_MOST_MATCHES = 3
_LEAST_LIKENESS = 0.6


@dataclass(frozen=True)
class CommandLine:
    """A console script: its name, what it can be (a dataclass, or a union of subcommands), and how it is described.

    switches: options that the script takes itself, before `command` is asked.
    """

    program: str
    command: Any
    description: str | None = None
    switches: tuple[str, ...] = ()

    def parse(self, arguments: Sequence[str]) -> Any:
        """The command that was asked for.

        Raises SystemExit: 0 after --version and --help, 2 for what cannot be understood, which is said on stderr.
        """
        if VERSION in arguments:
            sys.stdout.write(describe_versions(self.program) + "\n")
            raise SystemExit(0)
        try:
            with contextlib.redirect_stderr(io.StringIO()):  # tyro answers an unknown option with a page of others
                return self._ask_tyro(arguments)
        except SystemExit as end:
            if end.code != _EXIT_USAGE:
                raise
        problem = self.misspelt(arguments)
        if problem is None:
            return self._ask_tyro(arguments)  # says what else is wrong
        sys.stderr.write(problem + "\n")
        raise SystemExit(_EXIT_USAGE)

    def parser(self) -> argparse.ArgumentParser:
        """The options as argparse knows them."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # nothing else of tyro tells which options there are
            return cast(argparse.ArgumentParser, tyro.extras.get_parser(self.command, prog=self.program))

    def misspelt(self, arguments: Sequence[str]) -> str | None:
        """What to say of the first command or option that does not exist; None if all do."""
        here, words = self.parser(), [*arguments]
        while commands := subcommands(here):
            word = words.pop(0) if words else "--help"
            if word in commands:
                here = commands[word]
            elif not _OPTION.match(word):
                return _no_command(here.prog, word, [*commands])
            elif _nearest(word, [VERSION]):
                return _no_option(here, word, [VERSION], [])
            elif word not in options(here):
                return f"{here.prog}: options go behind the command: {here.prog} COMMAND {word} ...\n{_help(here)}"
            else:
                return None
        known = {*options(here), *self.switches, VERSION}
        for word in words:
            name = word.partition("=")[0].replace("_", "-")
            if _OPTION.match(word) and name not in known:
                return _no_option(here, name, sorted(known), [*_commands_with(name, self.parser())])
        return None

    def _ask_tyro(self, arguments: Sequence[str]) -> Any:
        own = self.description or inspect.getdoc(self.command) or ""
        description = f"{own}\n\n{VERSION} prints the versions of the program, of its formats and of what it runs on."
        return tyro.cli(self.command, prog=self.program, description=description, args=arguments)


def describe_versions(program: str) -> str:
    """Two lines: of ours, and of what it runs on, none of which is imported for it."""
    from scenegen.contract.objects import OBJECTS_VERSION  # here, because --help needs no pyarrow
    from scenegen.contract.schema import SCHEMA_VERSION
    from scenegen.contract.sidecar import SIDECAR_VERSION

    installed = ", ".join(f"{package} {_installed(package)}" for package in _PACKAGES)
    return (
        f"{program} {scenegen.__version__} of fixer3d; formats: views {SCHEMA_VERSION}, objects {OBJECTS_VERSION}, "
        f"depth {SIDECAR_VERSION}\nPython {platform.python_version()}, {installed}"
    )


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parser of each; empty for a command without any."""
    groups = (action.choices for action in parser._actions if isinstance(action.choices, dict))
    return {name: each for group in groups for name, each in group.items()}


def options(parser: argparse.ArgumentParser) -> set[str]:
    """As they are typed, such as --out."""
    return {name for action in parser._actions for name in action.option_strings}


def _commands_with(option: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    for each in subcommands(parser).values():
        if option in options(each):
            yield each.prog
        yield from _commands_with(option, each)


def _no_command(program: str, word: str, commands: list[str]) -> str:
    close = difflib.get_close_matches(word, commands, 1, 0.5)
    meant = f"; did you mean {program} {close[0]}?" if close else ""
    return f"{program}: there is no command {word}{meant}\nThe commands are: {', '.join(commands)}"


def _no_option(parser: argparse.ArgumentParser, name: str, known: list[str], elsewhere: list[str]) -> str:
    close = _nearest(name, known)
    meant = f"; did you mean {' or '.join(close)}?" if close else ""
    if not close and elsewhere:
        meant = f"; it belongs to {', '.join(elsewhere)}"
    return f"{parser.prog}: there is no option {name}{meant}\n{_help(parser)}"


def _help(parser: argparse.ArgumentParser) -> str:
    return f"See: {parser.prog} --help"


def _nearest(name: str, known: Sequence[str]) -> list[str]:
    """The options most like it, whole or without the group that they stand in: --num-views, --camera.num-views."""
    likeness = {each: max(_likeness(name, each), _likeness(name, "--" + each.rpartition(".")[2])) for each in known}
    best = max(likeness.values())
    near = [each for each in known if likeness[each] >= max(_LEAST_LIKENESS, best - 0.1)]
    return sorted(near, key=lambda each: -likeness[each])[:_MOST_MATCHES]


def _likeness(name: str, other: str) -> float:
    """From 0 to 1, of the letters; an option that has all the words asked for is near however long it is."""
    words, others = name.strip("-").split("-"), re.split(r"[-.]", other.strip("-"))
    if set(words) <= set(others):
        return 0.9 if words != others else 1.0
    return difflib.SequenceMatcher(None, name, other).ratio()
