"""Hours, time limits and machines from the costs of a scene; and where costs come from when nobody can wait."""

import math
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from scenegen.config import DEFAULT_SCENE_TIMEOUT_S, DatasetConfig, JobConfig, PlacementConfig, preset
from scenegen.contract.storage import Root
from scenegen.errors import UsageError
from scenegen.jobs.resources import Machine, plan_workers
from scenegen.planning import plan as planning
from scenegen.planning import reference
from scenegen.planning.calibration import Calibration, CalibrationStore, Cost, Setup, cost_facts
from scenegen.planning.device_probe import Devices
from scenegen.planning.forecast import Forecast
from scenegen.planning.trials import Trial, TrialBench, TrialSize, calibrate, fit

ARSG = preset("arsg", 100)
BOXES = DatasetConfig(num_scenes=100, renderer="boxes", placement=PlacementConfig(num_objects=(3, 3)))
CPU = Devices("4.5", (("CPU", ("CPU",)),))
TWO_CORES = Machine(cpus=2, memory_bytes=16 << 30, gpus=0)
WORKERS = plan_workers(TWO_CORES, ARSG, JobConfig())


def forecast(seconds: float, scenes: int = 100) -> Forecast:
    plan = SimpleNamespace(workers=4)
    return Forecast(DatasetConfig(num_scenes=scenes), plan, seconds=seconds, bytes=1e6)


def measured(config: DatasetConfig, day: date | None = None) -> Calibration:
    """One view of one pixel is a second."""
    setup = Setup.here(config, CPU, "auto", TWO_CORES, WORKERS)
    pixel = Cost(0.0, 0.0, 1.0)
    return Calibration(setup, (day or date.today()).isoformat(), "6 scenes", pixel, pixel, 0.1, 1.0, cost_facts(config))


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of two cores whose Blender finds no GPU; nothing is measured on it."""
    monkeypatch.setattr(planning, "this_machine", lambda: TWO_CORES)
    monkeypatch.setattr(planning, "probe", lambda: CPU)
    monkeypatch.setattr(planning, "calibrate", lambda *_: pytest.fail("nobody asked for a measurement"))


def test_hours_are_shared_by_the_workers():
    assert forecast(seconds=3600, scenes=100).total_hours == 25
    assert forecast(seconds=3600, scenes=100).machines_for(deadline_hours=10) == 3


def test_quick_scenes_have_the_usual_time_limit_and_slow_ones_three_times_what_they_need():
    assert forecast(seconds=20).scene_timeout_s == DEFAULT_SCENE_TIMEOUT_S == JobConfig().scene_limit_s
    assert forecast(seconds=15_000).scene_timeout_s == 45_000


def test_an_estimate_says_between_what_it_lies():
    rough = replace(forecast(seconds=3600), within=2.0)
    assert "about 25.0 h (between 12.5 h and 2.1 days)" in rough.describe()


def test_costs_of_trials_are_told_apart():
    true = Cost(fixed=2.0, view=0.5, pixel=1e-3)
    sizes = [TrialSize(scene, views, px) for scene in (1, 2) for views, px in ((1, 64), (2, 64), (2, 128))]
    found, error = fit(sizes, [true.scene(size.views, size.resolution_px) for size in sizes])
    assert found.scene(30, 1024) == pytest.approx(true.scene(30, 1024)) and error < 1e-9
    noisy, error = fit(sizes, [1.0, 0.9, 5.0, 1.1, 1.0, 5.5])
    assert min(noisy.fixed, noisy.view, noisy.pixel) >= 0 and 0 < error < 0.5


def test_a_measurement_serves_other_views_and_resolutions_but_no_other_samples_or_machines(tmp_path: Path):
    store = CalibrationStore(tmp_path / "new", pytest.fail)
    kept = measured(ARSG)
    store.save(kept, ARSG)
    smaller = replace(ARSG, num_scenes=7, seed=3, camera=replace(ARSG.camera, num_views=2, resolution_px=64))
    assert store.load(kept.setup, ARSG) == store.load(kept.setup, smaller) == kept
    assert store.load(kept.setup, replace(ARSG, render=replace(ARSG.render, samples=64))) is None
    for change in ({"processor": "other"}, {"device": "OPTIX H200"}, {"renderer": "blender 5"}, {"threads": 4}):
        assert store.load(replace(kept.setup, **change), ARSG) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff\xfe", b"nan"])
def test_a_damaged_measurement_is_told_and_ignored(tmp_path: Path, content: bytes):
    said: list[str] = []
    store, kept = CalibrationStore(tmp_path, said.append), measured(ARSG)
    store.save(kept, ARSG)
    (file,) = tmp_path.iterdir()
    file.write_bytes(content)
    assert store.load(kept.setup, ARSG) is None
    assert len(said) == 1 and str(file) in said[0]


def test_a_measurement_of_impossible_costs_is_damaged():
    text = measured(ARSG).to_json()
    assert Calibration.from_json(text) == measured(ARSG)
    for wrong in (text.replace('"pixel": 1.0', '"pixel": -1.0'), text.replace('"pixel": 1.0', '"pixel": NaN')):
        with pytest.raises(ValueError, match="cannot cost"):
            Calibration.from_json(wrong)


def test_a_home_that_takes_nothing_is_told_and_does_no_harm(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    said: list[str] = []
    store = CalibrationStore(tmp_path / "file" / "scenegen", said.append)
    store.save(measured(ARSG), ARSG)
    assert len(said) == 1 and "could not be kept" in said[0]
    assert store.load(measured(ARSG).setup, ARSG) is None


def test_the_plan_answers_from_what_was_measured_and_says_when_and_on_what(here, calibrations: Path, tmp_path: Path):
    long_ago = date.today() - timedelta(days=100)
    CalibrationStore(calibrations, pytest.fail).save(measured(ARSG, long_ago), ARSG)
    said = planning.plan(Root.open(tmp_path), ARSG, JobConfig())
    assert f"measured on {long_ago}" in said and "2 cores, CPU" in said and "blender" in said
    assert "100 days ago" in said and "--calibrate" in said and "between" not in said


def test_without_a_measurement_the_reference_is_scaled_to_this_machine(here, monkeypatch, tmp_path: Path):
    probe_s = reference.Reference.shipped().probe_s
    monkeypatch.setattr(reference, "_probe_times", lambda until: iter([probe_s[0], 3 * probe_s[1]]))
    said = planning.plan(Root.open(tmp_path), ARSG, JobConfig())
    assert "estimated, not measured" in said and "times 3.00" in said and "--calibrate" in said and "between" in said
    other = replace(ARSG, render=replace(ARSG.render, diffuse_bounces=4))
    assert "not in the estimate: render.diffuse_bounces 1 -> 4" in planning.plan(
        Root.open(tmp_path), other, JobConfig()
    )


def test_a_gpu_that_was_never_measured_gets_the_forecast_of_the_cpu_and_is_told(here, monkeypatch, tmp_path: Path):
    monkeypatch.setattr(planning, "probe", lambda: Devices("4.5", (("OPTIX", ("H200",)), *CPU.kinds)))
    monkeypatch.setattr(reference, "_probe_times", lambda until: iter(()))
    said = planning.plan(Root.open(tmp_path), ARSG, JobConfig())
    assert "no scene was measured on OPTIX H200 yet, so what follows is of the CPU alone" in said
    assert "--calibrate" in said and "GPUs in all" not in said


def on_two_h200(config: DatasetConfig) -> Calibration:
    """As `measured`, on a machine with two cards that four workers share."""
    cards = Devices("4.5", (("OPTIX", ("H200", "H200")), *CPU.kinds))
    machine = Machine(cpus=16, memory_bytes=128 << 30, gpus=2)
    workers = plan_workers(machine, config, JobConfig(workers=4))
    return replace(measured(config), setup=Setup.here(config, cards, "auto", machine, workers))


def test_what_a_machine_with_gpus_has_measured_is_forecast_on_another_without_blender(monkeypatch, tmp_path: Path):
    monkeypatch.setattr(planning, "probe", lambda: pytest.fail("Blender is not asked"))
    file = tmp_path / "h200.json"
    file.write_text(on_two_h200(ARSG).to_json())
    days = 100 * 30 * 1024**2 / 4 / 86400  # a second a pixel, four workers
    said = planning.plan_elsewhere(ARSG, file, deadline_hours=240)
    assert f"{days:,.0f} days" in said and f"{2 * days:,.1f} GPU-days" in said
    assert "workers  4, 4 threads each, 0.5 GPU each" in said and "2 x OPTIX H200, 4 workers at once" in said
    assert f"{math.ceil(days / 10)} machines like that one, {2 * math.ceil(days / 10)} GPUs in all" in said


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda text: "{}", "holds no measurement"),
        (lambda text: text[: text.index('"config"')].rstrip().removesuffix(",") + "}", "holds no measurement"),
        (lambda text: text.replace('"code": "', '"code": "0.0.'), "measured with scenegen 0.0."),
        (lambda text: text.replace('"samples": 128', '"samples": 64'), "another config .render.samples 64 -> 128."),
        (None, "cannot be read: No such file"),
    ],
)
def test_a_measurement_that_does_not_fit_is_refused_with_what_to_do(tmp_path: Path, change, complaint: str):
    file = tmp_path / "h200.json"
    if change:
        file.write_text(change(on_two_h200(ARSG).to_json()))
    with pytest.raises(UsageError, match=complaint) as refused:
        planning.plan_elsewhere(ARSG, file)
    assert "scenegen plan --calibrate" in str(refused.value)


def test_workers_that_share_a_gpu_are_measured_together(monkeypatch):
    made: list[tuple[int, TrialSize]] = []

    class Bench:
        """The second worker takes twice as long as the first."""

        opened = 0

        def __init__(self) -> None:
            self.number = Bench.opened = Bench.opened + 1

        def make(self, size: TrialSize) -> Trial:
            made.append((self.number, size))
            return Trial(size, wall_s=self.number * size.views, cpu_s=0.5, bytes=1000)

        def close(self) -> None:
            pass

    monkeypatch.setattr(TrialBench, "open", lambda *_: Bench())
    setup = replace(on_two_h200(ARSG).setup, workers=2, gpus=1)
    found = calibrate(ARSG, "optix", setup)
    assert {number for number, _ in made} == {1, 2} and found.seconds.scene(2, 1024) == pytest.approx(2 * 1.5)
    assert "2 workers at once" in found.describe()[1] and "busy 14% of the time" in found.describe()[1]


def test_a_machine_that_answers_too_late_gets_a_wider_estimate_in_time():
    late = reference.estimate(ARSG, until=0.0)  # no time at all: the process is killed
    assert late.within > 2 and "it took too long" in late.describe()[0]


def test_the_reference_holds_both_presets_and_grows_with_samples():
    shipped = reference.Reference.shipped()
    costs = [
        shipped.costs(replace(ARSG, render=replace(ARSG.render, samples=samples)))[0].scene(30, 1024)
        for samples in (1, 16, 64, 128, 512)
    ]
    assert costs == sorted(costs) and costs[0] > 0
    assert costs[1] == pytest.approx(shipped.measured[0].seconds.scene(30, 1024))
    assert costs[3] == pytest.approx(shipped.measured[1].seconds.scene(30, 1024))


def test_a_render_measures_once_and_uses_it_while_it_is_fresh(monkeypatch, calibrations: Path):
    made: list[str] = []

    def measure(config: DatasetConfig, device: str, setup: Setup) -> Calibration:
        made.append(device)
        return replace(measured(config), setup=setup)

    monkeypatch.setattr(planning, "calibrate", measure)
    said: list[str] = []
    for _ in range(2):
        planning.measured_costs(BOXES, JobConfig(), WORKERS, said.append)
    assert len(made) == 1 and f"measured here on {date.today()}" in said[-1]
    (file,) = calibrations.iterdir()
    file.write_text(file.read_text().replace(str(date.today()), "2020-01-01"))
    planning.measured_costs(BOXES, JobConfig(), WORKERS, said.append)
    assert len(made) == 2


def test_trial_scenes_are_measured_with_the_renderer_of_the_dataset():
    setup = Setup.here(BOXES, CPU, "auto", TWO_CORES, WORKERS)
    found = calibrate(BOXES, "cpu", setup)
    assert found.seconds.scene(2, 128) > 0 and found.bytes.scene(2, 128) > found.bytes.scene(1, 64)
    assert 0 < found.share <= 1 and "2 x 128 px" in found.describe()[0]


def test_a_trial_that_cannot_be_made_says_why():
    bench = TrialBench.open(replace(BOXES, assets=replace(BOXES.assets, objects=("/nowhere",))), "cpu", 1)
    try:
        with pytest.raises(Exception, match="no asset store /nowhere"):
            bench.make(TrialSize(0, 1, 32))
    finally:
        bench.close()
