"""Every option that a message advises exists in every command that can print the message."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from pipelines.complete.cli import COMPLETE_LINE, SERVE_LINE
from pipelines.evaluate.cli import COMMAND_LINE as EVALUATE_LINE
from pipelines.train.cli import COMMAND_LINE as TRAIN_LINE
from scenegen.cli import command_line
from scenegen.contract.command.command_line import VERSION, options

ROOT = Path(__file__).resolve().parents[2]
OPTION = re.compile(r"(?<![\w=-])--[a-z][a-z0-9.-]*[a-z0-9]")
COMMAND = re.compile(r"scenegen(?: assets)? [a-z]+|train-fixer|fixer-complete(?: --serve)?|fixer-evaluate")
# Commands of others, and their options.
STRANGERS = re.compile(r"(hf download|pip install|torchrun|ray start|a plain range|: rerun) [^;,]*|^ --revision")

SCENES, VIEWS = ("scenegen render", "scenegen plan"), ("scenegen annotate", "scenegen render")
ASSETS = ("scenegen objects", "scenegen render")
RUNS = ("scenegen render", "scenegen objects", "scenegen annotate")
SYSTEMS = ("fixer-complete", "fixer-complete --serve", "fixer-evaluate")
READERS = ("fixer-complete", "fixer-evaluate", "train-fixer", "scenegen view")
PRINTED_BY = {
    "scenegen/annotate": VIEWS,
    "scenegen/annotate/options.py": ("scenegen annotate",),
    "scenegen/annotate/torch_setup.py": RUNS,
    "scenegen/objects/networks": ASSETS,
    "scenegen/objects/networks/encoders.py": ("scenegen objects",),
    "scenegen/assets/files.py": RUNS,
    "scenegen/assets/library.py": RUNS,
    "scenegen/assets/sources/fetch.py": ("scenegen assets fetch",),
    "scenegen/assets/sources": ("scenegen assets prepare",),
    "scenegen/blender": (*SCENES, "scenegen objects", "scenegen scene"),
    "scenegen/contract": READERS,
    "scenegen/contract/object_dataset.py": ("scenegen objects",),
    "scenegen/contract/rerun/target.py": ("scenegen view", "fixer-complete"),
    "scenegen/assets/preparing": ("scenegen assets prepare",),
    "scenegen/commands": SCENES,
    "scenegen/commands/annotate.py": ("scenegen annotate",),
    "scenegen/commands/assets": ("scenegen assets prepare", "scenegen assets fetch", "scenegen assets check"),
    "scenegen/commands/export.py": ("scenegen export",),
    "scenegen/commands/push.py": ("scenegen push",),
    "scenegen/commands/render.py": ("scenegen render",),
    "scenegen/commands/view.py": ("scenegen view",),
    "scenegen/export": ("scenegen export",),
    "scenegen/hub": ("scenegen push",),
    "scenegen/jobs": SCENES,
    "scenegen/jobs/assignment.py": RUNS,
    "scenegen/jobs/cluster.py": RUNS,
    "scenegen/shards/config_file.py": ("scenegen render", "scenegen objects"),
    "scenegen/objects": ASSETS,
    "scenegen/commands/objects.py": ("scenegen objects",),
    "scenegen/planning": SCENES,
    "scenegen/planning/plan.py": ("scenegen plan",),
    "scenegen/planning/reference.py": ("scenegen plan",),
    "scenegen/rendering": SCENES,
    "scenegen/rendering/run.py": ("scenegen render",),
    "scenegen/scenes": SCENES,
    "scenegen/commands/scene.py": ("scenegen scene",),
    "scenegen/jobs/shard_actors.py": RUNS,
    "scenegen/shards": ("scenegen verify", "scenegen render"),
    "scenegen/verify": ("scenegen verify",),
    "scenegen/view": ("scenegen view",),
    "models": ("scenegen annotate", "scenegen objects", *SYSTEMS, "train-fixer"),
    "pipelines": (*SYSTEMS, "train-fixer"),
    "pipelines/complete": SYSTEMS,
    "pipelines/complete/batch": ("fixer-complete",),
    "pipelines/complete/cli.py": ("fixer-complete",),
    "pipelines/complete/command.py": ("fixer-complete",),
    "pipelines/complete/export": ("fixer-complete",),
    "pipelines/complete/instance_masks.py": ("fixer-complete",),
    "pipelines/complete/inputs/from_files.py": ("fixer-complete",),
    "pipelines/complete/inputs/segment_anything.py": ("fixer-complete --serve",),
    "pipelines/complete/server": ("fixer-complete --serve",),
    "pipelines/complete/server/command.py": ("fixer-complete",),
    "pipelines/encoders/official.py": SYSTEMS,
    "pipelines/pretrained": SYSTEMS,
    "pipelines/evaluate": ("fixer-evaluate",),
    "pipelines/train": ("train-fixer",),
    "pipelines/train/data/tables.py": ("scenegen objects",),
}
NO_MESSAGES = ("build_starter.py", "command_line.py")  # a script of ours; what reads the command line


@cache
def known_options() -> dict[str, set[str]]:
    """Of every command, its options as they are typed."""
    lines = (command_line(), TRAIN_LINE, COMPLETE_LINE, SERVE_LINE, EVALUATE_LINE)
    known = {parser.prog: {*options(parser), *line.switches, VERSION} for line in lines for parser in line.parsers()}
    known["fixer-complete"] |= known["fixer-complete --serve"]
    return known


def messages() -> Iterator[tuple[str, str]]:
    """(file and line, text) of every string that is no docstring; what is filled in is {}."""
    for top in ("scenegen", "pipelines", "models"):
        for path in sorted((ROOT / top).rglob("*.py")):
            if path.name not in NO_MESSAGES:
                name = path.relative_to(ROOT).as_posix()
                yield from ((f"{name}:{line}", text) for line, text in _strings(ast.parse(path.read_text())))


def _strings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    parts |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield node.lineno, "".join(each.value if isinstance(each, ast.Constant) else "{}" for each in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            yield node.lineno, "" if OPTION.fullmatch(node.value) else node.value  # not the name of an option itself


def wrong_advice(where: str, text: str) -> Iterator[str]:
    """What cannot be typed of a message: an option is of the command named before it, else of those that print it."""
    known = known_options()
    text = STRANGERS.sub("", text)
    start = max((prefix for prefix in PRINTED_BY if where.startswith(prefix)), key=len, default=None)
    printers = PRINTED_BY.get(start or "", ())
    pieces = re.split(f"({COMMAND.pattern})", text)
    named: str | None = None
    for piece in pieces:
        if COMMAND.fullmatch(piece) and piece in known:
            named = piece
            continue
        for sentence_number, sentence in enumerate(re.split(r"[;\n]|\. |, or |\bor\b", piece)):
            commands = (named,) if named and sentence_number == 0 else printers
            for option in OPTION.findall(sentence):
                lacking = [each for each in commands if option not in known[each]]
                if lacking or not commands:
                    yield f"{where}: {option} is not an option of {', '.join(lacking) or 'any command'}: {text!r}"


def test_every_option_that_a_message_advises_exists_where_the_message_is_printed():
    found = [*messages()]
    assert sum(bool(OPTION.search(text)) for _, text in found) > 150
    wrong = [problem for where, text in found for problem in wrong_advice(where, text)]
    assert wrong == [], "\n".join(wrong)


@pytest.mark.parametrize(
    ("where", "text", "is_wrong"),
    [
        ("pipelines/train/run.py:1", "give --encoder-weights dinov2=FILE", True),
        ("pipelines/train/run.py:1", "give --weights dinov2=FILE", False),
        ("pipelines/train/run.py:1", "make it with: scenegen objects --data X --steps geometry", False),
        ("scenegen/rendering/run.py:1", "make it with: scenegen objects --data X --stages geometry", True),
        ("scenegen/view/gallery.py:1", "run: scenegen verify --data X; or use --device cpu", True),
    ],
)
def test_advice_is_judged_by_the_command_that_it_is_for(where: str, text: str, is_wrong: bool):
    assert bool([*wrong_advice(where, text)]) == is_wrong
