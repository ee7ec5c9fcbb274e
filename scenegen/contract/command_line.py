"""How the commands of both halves read what was typed: `--help`, `--version`, and what does not exist.

Needs neither bpy nor torch: versions are those of the installed packages.
"""

import argparse
import contextlib
import difflib
import io
import itertools
import os
import platform
import re
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, NoReturn, Union, cast

import tyro

import scenegen
from scenegen.contract.help_page import command_page, first_line, subcommand_page

VERSION = "--version"
HELP = ("-h", "--help")
COMPLETION = ("--tyro-print-completion", "--tyro-write-completion")
_EXIT_USAGE = 2
_PACKAGES = ("bpy", "torch", "ray")
_OPTION = re.compile(r"--?[A-Za-z]")
_MOST_MATCHES = 3
_LEAST_LIKENESS = 0.6


@dataclass(frozen=True)
class Subcommands:
    """A command that is a choice of commands.

    summary: what they are for, in a line. commands: by name; each a dataclass, an instance of one whose values are the
    defaults of its options, or further subcommands. The first line of a dataclass's docstring is its summary.
    """

    summary: str
    commands: Mapping[str, Any]

    def help_page(self, program: str) -> str:
        return subcommand_page(program, self.summary, {name: _summary(each) for name, each in self.commands.items()})


@dataclass(frozen=True)
class CommandLine:
    """A console script: its name, and what it can be: a dataclass, or subcommands.

    switches: options that the script takes itself, before `command` is asked.
    """

    program: str
    command: Any
    switches: tuple[str, ...] = ()

    def parse(self, arguments: Sequence[str]) -> Any:
        """The command that was asked for.

        Raises SystemExit: 0 after --version and --help, 2 for what cannot be understood, which is said on stderr.
        """
        if VERSION in arguments:
            self._answer(describe_versions(self.program))
        if any(flag in arguments for flag in HELP):
            self._answer(self.help_page(arguments))
        if arguments[:1] and arguments[0] in COMPLETION and len(arguments) > COMPLETION.index(arguments[0]) + 1:
            self._complete(*arguments[1:3])
        program, command = self._named(arguments)
        if isinstance(command, Subcommands) and program.split()[1:] == [*arguments]:  # no command was named
            sys.stderr.write(command.help_page(program) + "\n")
            raise SystemExit(_EXIT_USAGE)
        try:
            with (
                quiet_pipe(),
                contextlib.redirect_stderr(io.StringIO()),
            ):  # tyro's answer to an unknown option is a page
                return self._ask_tyro(arguments)
        except SystemExit as end:
            if end.code != _EXIT_USAGE:
                raise
        problem = self.misspelt(arguments)
        if problem is None:
            return self._ask_tyro(arguments)  # says what else is wrong
        sys.stderr.write(problem + "\n")
        raise SystemExit(_EXIT_USAGE)

    def help_page(self, arguments: Sequence[str]) -> str:
        """Of the last command that is named."""
        program, command = self._named(arguments)
        if isinstance(command, Subcommands):
            return command.help_page(program)
        return command_page(program, _kind(command), _parser(command, program))

    def parser(self) -> argparse.ArgumentParser:
        """The options as argparse knows them, of all commands."""
        return _parser(self.command, self.program)

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

    def _named(self, arguments: Sequence[str]) -> tuple[str, Any]:
        """The last command that is named, before --help if that is there, and how it is called: scenegen render."""
        program, command = self.program, self.command
        for word in itertools.takewhile(lambda word: word not in HELP, arguments):
            if isinstance(command, Subcommands) and word in command.commands:
                program, command = f"{program} {word}", command.commands[word]
        return program, command

    def _ask_tyro(self, arguments: Sequence[str]) -> Any:
        return tyro.cli(_form(self.command), prog=self.program, args=arguments, description=_summary(self.command))

    def _complete(self, shell: str, file: str = "-") -> NoReturn:
        """Print or write the completion script of a shell; its texts without line ends, which shells take for more."""
        with contextlib.redirect_stdout(io.StringIO()) as script, contextlib.suppress(SystemExit):
            self._ask_tyro([COMPLETION[0], shell])
        text = re.sub(r"^COMPLETION_SPEC = .*", lambda line: line[0].replace(r"\n", " "), script.getvalue(), flags=re.M)
        if file == "-":
            self._answer(text.rstrip("\n"))
        Path(file).write_text(text)
        raise SystemExit(0)

    @staticmethod
    def _answer(text: str) -> NoReturn:
        with quiet_pipe():
            sys.stdout.write(text + "\n")
        raise SystemExit(0)


@contextlib.contextmanager
def quiet_pipe() -> Iterator[None]:
    """Ends the program without a word, and with exit code 0, if the reader of what is printed inside leaves early.

    As in `| head`. Raises SystemExit then.
    """
    try:
        try:
            yield
        except SystemExit:
            sys.stdout.flush()
            raise
        sys.stdout.flush()
    except BrokenPipeError:
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115  (the interpreter flushes it once more at its end)
        raise SystemExit(0) from None


def _form(command: Any) -> Any:
    """What tyro knows a command by: its dataclass, or a union of subcommands."""
    if not isinstance(command, Subcommands):
        return _kind(command)
    return Union[tuple(_subcommand(name, each) for name, each in command.commands.items())]  # noqa: UP007


def _subcommand(name: str, command: Any) -> Any:
    about = tyro.conf.subcommand(name, description=_summary(command), **_defaults(command))
    return Annotated[_form(command), about]


def _kind(command: Any) -> type:
    return command if isinstance(command, type) else type(command)


def _defaults(command: Any) -> dict[str, Any]:
    """Those that an instance holds, for tyro."""
    return {} if isinstance(command, type | Subcommands) else {"default": command}


def _summary(command: Any) -> str:
    """A line."""
    if isinstance(command, Subcommands):
        return command.summary
    return first_line(_kind(command))


def _parser(command: Any, program: str) -> argparse.ArgumentParser:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # nothing else of tyro tells which options there are
        return cast(argparse.ArgumentParser, tyro.extras.get_parser(_form(command), prog=program, **_defaults(command)))


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
