"""The first day: what everybody types first, then whatever the message advises, to the letter, until it works."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.evaluate import cli as evaluate
from pipelines.train import cli as train
from scenegen import cli as scenegen

PROGRAMS = {"scenegen": scenegen.main, "train-fixer": train.main, "fixer-evaluate": evaluate.main}
ADVISED = re.compile(r"scenegen [a-z]+ --[^\n;]*")
QUICK = "--num-scenes 1 --renderer boxes --camera.resolution-px 64 --placement.num-objects 3 3 --stages render"
SMALL = "--condition-px 16 --feature-px 16 --feature-views 4"

Typed = Callable[[str], tuple[int, str]]


@pytest.fixture(scope="module")
def home(ray_address: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("first-day")


@pytest.fixture
def typed(home: Path, capsys: pytest.CaptureFixture) -> Typed:
    """typed("train-fixer --shards DATA") gives (exit code, all that was said); at first nothing is at DATA."""

    def run(line: str) -> tuple[int, str]:
        program, *arguments = shlex.split(line.replace("DATA", str(home / "data")))
        try:
            code = PROGRAMS[program](arguments)
        except SystemExit as end:
            code = end.code
        printed = capsys.readouterr()
        return code or 0, (printed.out + printed.err).replace(str(home / "data"), "DATA")

    return run


def advice(said: str) -> str:
    """The command that a message advises."""
    found = ADVISED.search(said)
    assert found, said
    return found.group()


def test_from_nothing_to_training_by_doing_what_the_messages_say(typed: Typed):
    code, said = typed("train-fixer --shards DATA")
    assert code == 2 and "DATA holds no finished shard" in said and "weights" not in said
    for first in (
        "fixer-evaluate --baseline convex_hull --shards",
        "scenegen annotate --data",
        "scenegen objects --data",
    ):
        code, others = typed(f"{first} DATA")
        assert code in (1, 2) and advice(others) == advice(said), others
    assert typed(f"{advice(said)} {QUICK}")[0] == 0

    code, said = typed("train-fixer --shards DATA")
    assert code == 2 and "DATA has no objects shard" in said and "weights" not in said
    assert advice(typed("fixer-evaluate --baseline convex_hull --shards DATA")[1]) == advice(said)
    code, made = typed(f"{advice(said)} {SMALL}")
    assert code == 0, made

    code, said = typed("train-fixer --shards DATA")
    assert code == 1 and "--weights dinov2=FILE moge2=FILE" in said and "--encoder-weights" not in said
    (choice,) = re.findall(r"--encoders \w+", said)
    code, said = typed(f"train-fixer --shards DATA {choice} --stage structure_vae --size tiny --dry-run --workers 0")
    assert code == 0, said
    code, said = typed("fixer-evaluate --baseline convex_hull --shards DATA --points 64 --out DATA-judged")
    assert code == 0 and "wrote DATA-judged/report.md" in said


def test_depth_estimators_without_weights_are_replaced_as_the_message_says(typed: Typed):
    code, said = typed("scenegen annotate --data DATA")
    assert code == 1 and "DepthPro" in said
    (choice,) = set(re.findall(r"--estimators \w+", said))
    assert typed(f"scenegen annotate --data DATA {choice}")[0] == 0


def test_features_without_weights_are_replaced_as_the_message_says(typed: Typed):
    code, said = typed("scenegen objects --data DATA --steps features")
    assert code == 1 and "dinov2" in said
    (choice,) = set(re.findall(r"--extractor \w+", said))
    code, said = typed(f"scenegen objects --data DATA --steps features {choice}")
    assert code == 0, said


def test_a_folder_begun_with_another_config_goes_on_as_the_message_says(typed: Typed):
    code, said = typed("scenegen render --num-scenes 1 --out DATA --stages render")
    assert code == 2 and "another config" in said
    assert typed(f"{advice(said)} --stages render")[0] == 0


@pytest.mark.parametrize("command", ["status", "verify", "merge", "view", "assets notice"])
def test_a_folder_without_data_gets_the_command_that_makes_some(typed: Typed, command: str):
    code, said = typed(f"scenegen {command} --data DATA-elsewhere")
    assert code == 1 and advice(said) == "scenegen render --preset preview --num-scenes 20 --out DATA-elsewhere"
