"""The command that a run records is the one to type again."""

import pytest

from pipelines.train.outputs.invocations import typed_command


@pytest.mark.parametrize(
    ("environment", "launcher"),
    [
        ({}, ""),
        ({"WORLD_SIZE": "1"}, ""),
        ({"WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "8"}, "torchrun --nproc-per-node 8 --no-python "),
        ({"WORLD_SIZE": "16", "LOCAL_WORLD_SIZE": "8"}, "torchrun --nnodes 2 --nproc-per-node 8 --no-python "),
    ],
)
def test_a_command_is_quoted_for_a_shell_and_begins_with_what_started_it(environment, launcher):
    assert typed_command(["--shards", "my data/"], environment) == f"{launcher}train-fixer --shards 'my data/'"
