"""What all four commands make of versions, misspelt options and misspelt commands."""

import subprocess
import sys

import pytest

from pipelines.complete import cli as complete
from pipelines.evaluate import cli as evaluate
from pipelines.train import cli as train
from scenegen import cli as scenegen
from scenegen.contract.schema import SCHEMA_VERSION

COMMANDS = {
    "scenegen": scenegen.main,
    "train-fixer": train.main,
    "fixer-complete": complete.main,
    "fixer-evaluate": evaluate.main,
}


@pytest.fixture
def typed(capsys: pytest.CaptureFixture):
    """typed("scenegen --version") gives (exit code, what was printed, what was complained of)."""

    def run(line: str) -> tuple[int, str, str]:
        program, *arguments = line.split()
        try:
            code = COMMANDS[program](arguments)
        except SystemExit as end:
            code = end.code
        return code or 0, *capsys.readouterr()

    return run


@pytest.mark.parametrize("program", COMMANDS)
def test_every_command_says_its_version_and_that_of_what_it_runs_on(typed, program: str):
    code, printed, complaint = typed(f"{program} --version")
    assert code == 0 and complaint == ""
    assert printed.startswith(f"{program} 0.") and f"formats: views {SCHEMA_VERSION}, objects" in printed
    assert all(f"{package} " in printed for package in ("Python", "bpy", "torch", "ray"))
    assert typed(f"{program} --help")[0] == 0


ANSWER = """
import sys
from importlib import import_module
def answer(line, heavy):
    module, *words = line.split()
    try: import_module(module).main(words)
    except SystemExit: pass
    assert not heavy & sys.modules.keys(), (line, heavy & sys.modules.keys())
work = {"numpy", "pyarrow", "PIL", "scipy", "torch", "bpy", "ray"}
answer("scenegen.cli --help", work)
answer("scenegen.cli render --help", work)
answer("scenegen.cli view --device cpu", work)
answer("pipelines.train.cli --help", work)
answer("pipelines.evaluate.cli --help", work)
answer("pipelines.complete.cli --serve --help", work | {"starlette", "uvicorn"})
answer("pipelines.complete.cli --image nowhere.png --masks nowhere.png --out scene.glb", work)
answer("scenegen.cli --version", {"torch", "bpy", "ray"})
"""


def test_help_and_mistakes_are_answered_without_loading_what_the_work_needs():
    done = subprocess.run([sys.executable, "-c", ANSWER], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert all(word in done.stdout for word in ("--num-scenes", "--predictions", "--segmenter", "texturer"))
    assert done.stderr.endswith("nowhere.png cannot be read: there is no such file\n")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (
            "scenegen render --num-scene 3",
            "scenegen render: there is no option --num-scene; did you mean --num-scenes?",
        ),
        ("scenegen render --num_scene=3", "did you mean --num-scenes?"),
        ("scenegen render --num-views 3", "did you mean --camera.num-views?"),
        ("scenegen render --resolution 64", "did you mean --camera.resolution-px?"),
        ("scenegen plan --calibrat", "did you mean --calibrate"),
        ("scenegen view --device cpu", "it belongs to scenegen plan, scenegen render"),
        ("scenegen assets prepare --inptu x", "did you mean --input?"),
        ("scenegen --versoin", "scenegen: there is no option --versoin; did you mean --version?"),
        ("scenegen --data x status", "scenegen COMMAND --data"),
        ("scenegen rendr", "scenegen: there is no command rendr; did you mean scenegen render?"),
        ("scenegen assets fech", "did you mean scenegen assets fetch?"),
        ("scenegen frobnicate", "there is no command frobnicate\nThe commands are: plan, render"),
        ("train-fixer --shard data/", "train-fixer: there is no option --shard; did you mean --shards?"),
        ("train-fixer --shards data/ --encoder-weights dinov2=x", "did you mean --encoders or --weights?"),
        ("fixer-complete --imge x", "did you mean --image?"),
        ("fixer-complete --serv", "did you mean --serve?"),
        ("fixer-complete --serve --prot 3", "fixer-complete --serve: there is no option --prot; did you mean --port?"),
        ("fixer-evaluate --predictons x", "did you mean --predictions?"),
        ("fixer-evaluate -q", "fixer-evaluate: there is no option -q\nSee: fixer-evaluate --help"),
    ],
)
def test_what_is_misspelt_is_said_in_two_lines_with_what_is_nearest(typed, line: str, says: str):
    code, printed, complaint = typed(line)
    assert code == 2 and says in complaint and printed == ""
    assert len(complaint.splitlines()) == 2


def test_a_wrong_value_is_still_explained_by_its_option(typed):
    code, _, complaint = typed("scenegen render --num-scenes many")
    assert code == 2 and "--num-scenes" in complaint and "many" in complaint
