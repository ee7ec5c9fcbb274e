"""How the commands of both halves read what was typed: `--help`, `--version`, and what does not exist.

Needs neither bpy nor torch: versions are those of the installed packages.
"""

import argparse
import contextlib
import io
import itertools
import os
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NoReturn, Union, cast

import tyro

import scenegen
from scenegen.contract.command.help_page import command_page, first_line, subcommand_page

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
        program, command, words = self._chosen(arguments)
        if isinstance(command, Subcommands) and not words:
            _refuse(command.help_page(program))
        if isinstance(command, Subcommands) and words[0] not in COMPLETION:
            _refuse(_no_choice(program, command, words[0]))
        try:
            with (
                quiet_pipe(),
                contextlib.redirect_stderr(io.StringIO()),
            ):  # tyro's answer to an unknown option is a page
                return _ask_tyro(command, program, words)
        except SystemExit as end:
            if end.code != _EXIT_USAGE:
                raise
        if problem := self._unknown_option(program, command, words):
            _refuse(problem)
        return _ask_tyro(command, program, words)  # says what else is wrong

    def help_page(self, arguments: Sequence[str]) -> str:
        """Of the last command that is named, before --help if that is there."""
        program, command = self.program, self.command
        for word in itertools.takewhile(lambda word: word not in HELP, arguments):
            if isinstance(command, Subcommands) and word in command.commands:
                program, command = f"{program} {word}", command.commands[word]
        if isinstance(command, Subcommands):
            return command.help_page(program)
        return command_page(program, _kind(command), _parser(command, program))

    def parsers(self) -> Iterator[argparse.ArgumentParser]:
        """Of each command that has options, as argparse knows them; `prog` is how it is called: scenegen render."""
        return _parsers(self.program, self.command)

    def _chosen(self, arguments: Sequence[str]) -> tuple[str, Any, list[str]]:
        """(how the command that was asked for is called, such as scenegen render; the command; what is left of words).

        tyro is given this one alone: to read the options of all of them takes it ten times as long.
        """
        program, command, words = self.program, self.command, [*arguments]
        while isinstance(command, Subcommands) and words and words[0] in command.commands:
            word = words.pop(0)
            program, command = f"{program} {word}", command.commands[word]
        return program, command, words

    def _unknown_option(self, program: str, command: Any, words: Sequence[str]) -> str | None:
        """What to say of the first option that the command does not have; None if it has all."""
        known = {*options(_parser(command, program)), *self.switches, VERSION}
        for word in words:
            name = word.partition("=")[0].replace("_", "-")
            if _OPTION.match(word) and name not in known:
                elsewhere = (parser.prog for parser in self.parsers() if name in options(parser))
                return _no_option(program, name, sorted(known), elsewhere)
        return None

    def _complete(self, shell: str, file: str = "-") -> NoReturn:
        """Print or write the completion script of a shell; its texts without line ends, which shells take for more."""
        with contextlib.redirect_stdout(io.StringIO()) as script, contextlib.suppress(SystemExit):
            _ask_tyro(self.command, self.program, [COMPLETION[0], shell])
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


def _refuse(problem: str) -> NoReturn:
    sys.stderr.write(problem + "\n")
    raise SystemExit(_EXIT_USAGE)


def _ask_tyro(command: Any, program: str, words: Sequence[str]) -> Any:
    return tyro.cli(_form(command), prog=program, args=words, description=_summary(command), **_defaults(command))


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
    import platform

    from scenegen.contract.objects import OBJECTS_VERSION  # here, because --help needs no pyarrow
    from scenegen.contract.schema import SCHEMA_VERSION
    from scenegen.contract.sidecar import SIDECAR_VERSION

    installed = ", ".join(f"{package} {_installed(package)}" for package in _PACKAGES)
    return (
        f"{program} {scenegen.__version__} of fixer3d; formats: views {SCHEMA_VERSION}, objects {OBJECTS_VERSION}, "
        f"depth {SIDECAR_VERSION}\nPython {platform.python_version()}, {installed}"
    )


def _installed(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _parsers(program: str, command: Any) -> Iterator[argparse.ArgumentParser]:
    if not isinstance(command, Subcommands):
        yield _parser(command, program)
        return
    for name, each in command.commands.items():
        yield from _parsers(f"{program} {name}", each)


def options(parser: argparse.ArgumentParser) -> set[str]:
    """As they are typed, such as --out."""
    return {name for action in parser._actions for name in action.option_strings}


def _no_choice(program: str, choice: Subcommands, word: str) -> str:
    """What to say of a word that stands where the name of a command is expected."""
    if not _OPTION.match(word):
        return _no_command(program, word, [*choice.commands])
    if _nearest(word, [VERSION]):
        return _no_option(program, word, [VERSION], ())
    return f"{program}: options go behind the command: {program} COMMAND {word} ...\n{_help(program)}"


def _no_command(program: str, word: str, commands: list[str]) -> str:
    import difflib

    close = difflib.get_close_matches(word, commands, 1, 0.5)
    meant = f"; did you mean {program} {close[0]}?" if close else ""
    return f"{program}: there is no command {word}{meant}\nThe commands are: {', '.join(commands)}"


def _no_option(program: str, name: str, known: Sequence[str], elsewhere: Iterable[str]) -> str:
    """elsewhere: commands that have the option; asked for only if nothing in `known` is like it."""
    if close := _nearest(name, known):
        meant = f"; did you mean {' or '.join(close)}?"
    else:
        others = ", ".join(elsewhere)
        meant = f"; it belongs to {others}" if others else ""
    return f"{program}: there is no option {name}{meant}\n{_help(program)}"


def _help(program: str) -> str:
    return f"See: {program} --help"


def _nearest(name: str, known: Sequence[str]) -> list[str]:
    """The options most like it, whole or without the group that they stand in: --num-views, --camera.num-views."""
    likeness = {each: max(_likeness(name, each), _likeness(name, "--" + each.rpartition(".")[2])) for each in known}
    best = max(likeness.values())
    near = [each for each in known if likeness[each] >= max(_LEAST_LIKENESS, best - 0.1)]
    return sorted(near, key=lambda each: -likeness[each])[:_MOST_MATCHES]


def _likeness(name: str, other: str) -> float:
    """From 0 to 1, of the letters; an option that has all the words asked for is near however long it is."""
    import difflib

    words, others = name.strip("-").split("-"), re.split(r"[-.]", other.strip("-"))
    if set(words) <= set(others):
        return 0.9 if words != others else 1.0
    return difflib.SequenceMatcher(None, name, other).ratio()
