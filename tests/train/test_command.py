"""The command before it trains: options that cannot be meant, and what is not there."""

import pytest

from pipelines.train.cli import main
from pipelines.train.settings.config import TrainConfig


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--shards", "a", "--mix", "1", "--mix", "2"], "once for each"),
        (["--shards", "a", "--max-steps", "0"], "--max-steps 0 cannot be"),
        (["--shards", "a", "--resume", "x/step-00000001"], "one --stage"),
        (["--shards", "a", "--weights", "dinov2.pth"], "NAME=PATH"),
        (["--shards", "a", "--workers", "-2"], "0 or more"),
    ],
)
def test_options_that_cannot_be_meant_are_refused_with_exit_code_2(arguments, said, capsys):
    with pytest.raises(SystemExit) as refused:
        main(arguments)
    assert refused.value.code == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_an_unknown_stage_is_refused_with_the_known_ones(capsys):
    with pytest.raises(SystemExit) as refused:
        main(["--shards", "a", "--stage", "corse"])
    assert refused.value.code == 2
    assert "coarse" in capsys.readouterr().err


def test_stages_come_in_the_order_in_which_they_build_on_one_another():
    stages = TrainConfig(shards=("a",)).stages
    assert len(stages) == 10
    for former, later in [("structure_vae", "structure_base"), ("object", "coarse"), ("slat_base", "texturer")]:
        assert stages.index(former) < stages.index(later)
