"""Systems against baselines, pair by pair."""

import dataclasses

import numpy as np
import pytest

from pipelines.evaluate.judging.evaluation import Condition, Evaluation
from pipelines.evaluate.judging.judge import ObjectResult, Target
from pipelines.evaluate.judging.sweeps import occlusion_is_within
from pipelines.evaluate.metrics.bootstrap import mean_with_interval, ratio_with_interval
from pipelines.evaluate.metrics.scores import ObjectScores
from pipelines.evaluate.report.markdown import table_markdown
from pipelines.evaluate.report.paired import best_baselines, paired_by_step, paired_table

SCENES, OBJECTS = 12, 5
PENALTY = ObjectScores(3.0, 0, 0, 0, 0, 0, None)


def evaluation(system: str, f_score: float, chamfer: float, voxel_iou: float) -> Evaluation:
    """Scores that vary much with the object, plus what is the system's own."""
    rng = np.random.default_rng(0)
    objects = []
    for number in range(SCENES * OBJECTS):
        hard = rng.uniform(0, 1)
        scores = ObjectScores(
            chamfer * (0.1 + hard), 0, 0, f_score + 60 - 40 * hard, 0, voxel_iou + 0.5 - 0.3 * hard, None
        )
        view, scene = f"view{number // OBJECTS}", f"scene{number // OBJECTS}"
        target = Target((3 + number % OBJECTS,), (3 + number % OBJECTS,))
        objects.append(ObjectResult(view, scene, target, "completed", "", 100, hard, 1, scores, scores))
    return Evaluation(system, Condition(), tuple(objects), ())


@pytest.fixture
def ours() -> Evaluation:
    return evaluation("ours", 5.0, 0.8, 0.02)


@pytest.fixture
def baselines() -> list[Evaluation]:
    return [evaluation("good shapes", 0.0, 1.0, 0.0), evaluation("good voxels", -5.0, 1.2, 0.1)]


def test_a_steady_gain_is_certain_although_the_objects_differ_much(ours, baselines):
    cells = paired_table([ours], baselines, 0).rows[0].cells
    gain = cells["f_score"]
    assert (gain.mean, gain.low, gain.high) == (pytest.approx(5), pytest.approx(5), pytest.approx(5))
    alone = mean_with_interval([one.scores.f_score for one in ours.objects], ["a", "b"] * 30, np.random.default_rng(0))
    assert alone.high - alone.low > 0.1  # of the mean itself
    assert cells["chamfer_ratio"].mean == pytest.approx(0.8)
    assert cells["chamfer"].mean < 0
    assert cells["objects"] == SCENES * OBJECTS


def test_each_score_has_its_own_best_baseline(ours, baselines):
    best = best_baselines(baselines)
    assert {key: one.system for key, one in best.items()} == {
        "f_score": "good shapes",
        "chamfer": "good shapes",
        "voxel_iou": "good voxels",
    }
    table = paired_table([ours], baselines, 0)
    assert [row.label for row in table.rows] == [
        "ours against good shapes",
        "ours against good voxels",
        "ours against the best of each score",
    ]
    assert table.rows[2].cells["voxel_iou"].mean == pytest.approx(-0.08)
    assert "IoU-V: good voxels" in table.notes[-1]
    assert "| +5.00 [+5.00, +5.00] |" in table_markdown(table)


def test_missing_predictions_count_on_either_side(ours, baselines):
    lost = [dataclasses.replace(one, scores=None, penalised=PENALTY) for one in ours.objects]
    ours = dataclasses.replace(ours, objects=(*lost[:30], *ours.objects[30:]))
    cells = paired_table([ours], baselines[:1], 0).rows[0].cells
    assert cells["f_score"].mean < -10 and cells["chamfer_ratio"].mean > 1
    assert cells["objects"] == SCENES * OBJECTS


def test_objects_are_paired_by_view_and_target_whatever_their_order(ours, baselines):
    shuffled = dataclasses.replace(ours, objects=ours.objects[::-1])
    a, b = (paired_table([one], baselines, 0).rows[0].cells["f_score"] for one in (ours, shuffled))
    assert (a.low, a.high) == (pytest.approx(b.low), pytest.approx(b.high))


def test_the_gain_by_occlusion_has_a_row_a_bin_and_all_objects_in_one_of_them(ours, baselines):
    parts = [("little", occlusion_is_within(0, 0.5)), ("much", occlusion_is_within(0.5, 1))]
    table = paired_by_step([ours], baselines, parts, 0)
    assert [row.label for row in table.rows] == ["ours, little", "ours, much"]
    assert sum(row.cells["objects"] for row in table.rows) == SCENES * OBJECTS
    assert all(row.cells["f_score"].mean == pytest.approx(5) for row in table.rows)


def test_a_ratio_of_means_has_an_interval_around_it_and_none_where_it_could_be_infinite():
    rng = np.random.default_rng(0)
    below = rng.uniform(1, 2, 60)
    groups = [str(number // 3) for number in range(60)]
    found = ratio_with_interval((below * rng.normal(0.7, 0.05, 60)).tolist(), below.tolist(), groups, rng)
    assert found.low < found.mean < found.high and found.mean == pytest.approx(0.7, abs=0.03)
    assert ratio_with_interval([1.0, 1.0], [0.0, 1.0], ["a", "b"], rng) is None
    assert ratio_with_interval([], [], [], rng) is None
    with pytest.raises(ValueError, match="every value needs a group"):
        ratio_with_interval([1.0], [1.0, 2.0], ["a"], rng)
