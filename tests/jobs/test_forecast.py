from types import SimpleNamespace

from scenegen.config import DEFAULT_SCENE_TIMEOUT_S, DatasetConfig, JobConfig
from scenegen.jobs.planning.forecast import Forecast


def forecast(seconds: float, scenes: int = 100) -> Forecast:
    plan = SimpleNamespace(workers=4)
    return Forecast(DatasetConfig(num_scenes=scenes), plan, seconds=seconds, bytes=1e6)


def test_hours_are_shared_by_the_workers():
    assert forecast(seconds=3600, scenes=100).total_hours == 25
    assert forecast(seconds=3600, scenes=100).machines_for(deadline_hours=10) == 3


def test_quick_scenes_have_the_usual_time_limit_and_slow_ones_three_times_what_they_need():
    assert forecast(seconds=20).scene_timeout_s == DEFAULT_SCENE_TIMEOUT_S == JobConfig().scene_limit_s
    assert forecast(seconds=15_000).scene_timeout_s == 45_000
