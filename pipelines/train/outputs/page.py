"""RUN/index.html: a run for people. It is made from the run's folder alone, and links to the pictures in it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from pipelines.atomic import write_text
from pipelines.pages.charts import Line, line_chart
from pipelines.pages.markup import details, element, image, link, page, table
from pipelines.train.optimisation.metrics import NUM_TIME_BINS
from pipelines.train.outputs.curves import by_time, families, series, smooth
from pipelines.train.outputs.invocations import Invocation
from pipelines.train.outputs.metrics_log import duration
from pipelines.train.outputs.run_files import StageFiles, read_stages

PAGE_FILE = "index.html"
# What stages measure beside their own results, by how the names end.
BASELINES = {"_visible_only": "visible voxels alone", "_of_mean": "the mean latent", "_of_truth": "the true latent"}
HIGHER_IS_BETTER = ("iou", "f_score", "psnr", "ssim", "silhouette_iou", "normal_consistency")
LOWER_IS_BETTER = ("loss", "velocity", "chamfer", "cross_entropy", "dice", "dissimilarity", "absolute")


def write_page(run_dir: Path, record: Mapping[str, Any]) -> None:
    """Write the page of a run. record: see `training_record`. Nothing is written for a run without a stage."""
    stages = read_stages(run_dir)
    if stages:
        write_text(run_dir / PAGE_FILE, page_of(run_dir, stages, record))


def page_of(run_dir: Path, stages: Sequence[StageFiles], record: Mapping[str, Any]) -> str:
    """The HTML. run_dir: for its name, and to see which other files are there."""
    hours = {name: one["hours"] for name, one in record["stages"].items()}
    heading = element(
        "header",
        element("h1", f"training: {run_dir.resolve().name}"),
        element("nav", *(element("a", stage.name, href=f"#{stage.name}") for stage in stages)),
    )
    return page(
        f"training: {run_dir.resolve().name}",
        heading,
        _overview(run_dir, stages, record, hours),
        *(_stage(stage) for stage in stages),
    )


def _overview(
    run_dir: Path, stages: Sequence[StageFiles], record: Mapping[str, Any], hours: Mapping[str, float]
) -> Element:
    rows = [
        (
            element("a", stage.name, href=f"#{stage.name}"),
            _status(stage),
            str(stage.config.get("recipe", {}).get("batch_size", "")),
            duration(3600 * hours[stage.name]) if stage.name in hours else "",
            str(stage.num_assets.get("train", "")),
            str(stage.num_assets.get("val", "")),
            _main_measure(stage),
        )
        for stage in stages
    ]
    heads = ("stage", "steps", "batch", "time of steps", "training assets", "held-out assets", "held out, at the end")
    facts = [f"{duration(3600 * sum(hours.values()))} of steps", f"{len(record['assets'])} training assets"]
    if record["licences"]:
        facts.append(f"their licences: {', '.join(record['licences'])}")
    pipeline = [element("p", "The trained pipeline: ", link("pipeline/pipeline.json", "pipeline/"), ".")]
    return element(
        "section",
        element("h2", "the run"),
        element("p", "; ".join(facts), "."),
        *(pipeline if (run_dir / "pipeline/pipeline.json").exists() else []),
        table(heads, rows),
        *_commands(stages),
    )


def _commands(stages: Sequence[StageFiles]) -> Iterator[Element]:
    """Every command that trained a stage, once, in the order in which they were typed."""
    every = sorted((one for stage in stages for one in stage.invocations), key=lambda one: one.started)
    typed = {(one.folder, one.command): None for one in every if one.command}
    for folder in dict.fromkeys(folder for folder, _ in typed):
        yield element("h3", f"typed in {folder}")
        yield element("pre", "\n".join(command for at, command in typed if at == folder))
    if typed:
        again = "With the same data, packages and kind of device, and another --run-dir, this is the same run again."
        yield element("p", again)
    else:
        yield element("p", "The command of this run was not recorded.")


def _status(stage: StageFiles) -> Element:
    asked = stage.config.get("steps", 0)
    if not stage.finished_steps:
        return element("span", f"{stage.steps} of {asked or '?'}, not finished", class_="bad")
    if stage.finished_steps < asked:
        return element("span", f"{stage.finished_steps} of {asked}, when time was over")
    return element("span", str(stage.finished_steps), class_="good")


def _main_measure(stage: StageFiles) -> str:
    """The first measure with a baseline, else of the kind that is better when higher, else the loss."""
    if not stage.validation:
        return ""
    last = stage.validation[-1]
    names = [name for members in families(stage.validation).values() for name in members]
    compared = [name for name in names for end in BASELINES if f"{name}{end}" in last]
    known = [name for name in HIGHER_IS_BETTER if _shown(last.get(name)) != ""]
    best = [name for name in known if name in compared] or compared or known or ["loss"]
    beside = [f"{what} {last[best[0] + end]:.3g}" for end, what in BASELINES.items() if best[0] + end in last]
    return f"{best[0]} {last[best[0]]:.3g}" + (f" ({', '.join(beside)})" if beside else "")


def _stage(stage: StageFiles) -> Element:
    return element(
        "section",
        element("h2", stage.name),
        element("p", _sentence(stage)),
        element("div", *_charts(stage), class_="charts"),
        *_validation(stage),
        *_snapshots(stage),
        details("where and with what it was trained", _provenance(stage)),
        details("config.json: everything that decides the result", element("pre", json.dumps(stage.config, indent=1))),
        id=stage.name,
    )


def _sentence(stage: StageFiles) -> str:
    """What the last lines of the log say."""
    parts = [f"{stage.steps} steps"]
    if stage.training:
        last = stage.training[-1]
        parts.append(f"training loss {_shown(last['loss'])} at step {last['step']}")
        speeds, waits = (_mean(stage.training, name) for name in ("samples_per_s", "data_wait"))
        parts.append(f"{speeds:.3g} samples/s, {100 * waits:.0f} % of the time waiting for data")
        skipped = sum(line.get("skipped", 0) for line in stage.training)
        parts += [f"{skipped:.0f} steps left out (gradient not finite)"] if skipped else []
    if not stage.validation:
        parts.append("nothing was validated")
    return "; ".join(parts) + "."


def _charts(stage: StageFiles) -> Iterator[Element]:
    train, held_out = stage.training, stage.validation
    drawn = [line_chart("loss", [*_training_lines(train, "loss"), _held_out(held_out, "loss")], log=True)]
    for name, members in families(held_out).items():
        lines = [*_training_lines(train, name), *(_held_out(held_out, one, name, i) for i, one in enumerate(members))]
        drawn.append(line_chart(name.replace("_", " "), lines))
    if any(by_time(line) for line in held_out):
        drawn.append(line_chart("held-out loss by t", [*_by_time(held_out)], "t (1 is noise)", x_from=None))
    limits = [Line("norm", *series(train, "gradient_norm"), 2), Line("clipped to", *series(train, "clip_limit"), 3)]
    drawn.append(line_chart("gradient norm", limits, log=True))
    drawn.append(line_chart("samples/s", [Line("speed", *series(train, "samples_per_s"), 5)]))
    yield from (chart for chart in drawn if chart is not None)


def _training_lines(lines: Sequence[Mapping[str, Any]], name: str) -> list[Line]:
    steps, values = series(lines, name)
    if not len(steps):
        return []
    return [Line(name, steps, values, 0, "faint"), Line("training, smoothed", steps, smooth(values), 0)]


def _held_out(lines: Sequence[Mapping[str, Any]], name: str, family: str = "", number: int = 0) -> Line:
    """A measure of the held-out assets; baselines are dashed, others of the family named by what they add to it."""
    baseline = next((what for end, what in BASELINES.items() if name.endswith(end)), None)
    more = name.removeprefix(f"{family}_").replace("_", " ")
    label = "held out" if name in ("loss", family) else baseline or more
    if baseline:
        return Line(label, *series(lines, name), 2, "dashed")
    return Line(label, *series(lines, name), (1, 3, 4, 5, 0)[number % 5], "points")


def _by_time(lines: Sequence[Mapping[str, Any]]) -> Iterator[Line]:
    """The first, middle and last validation, which show at which t the network still learns."""
    for colour, index in enumerate(sorted({0, len(lines) // 2, len(lines) - 1})):
        bins = by_time(lines[index])
        centres = (np.array([*bins]) + 0.5) / NUM_TIME_BINS
        yield Line(f"step {lines[index]['step']}", centres, np.array([*bins.values()]), (4, 5, 1)[colour], "points")


def _validation(stage: StageFiles) -> Iterator[Element]:
    """Each measure at the beginning and the end, beside what it is compared with; then every validation."""
    if not stage.validation:
        return
    first, last = stage.validation[0], stage.validation[-1]
    names = ["loss", *(name for members in families(stage.validation).values() for name in members)]
    baselines = {name for name in names for end in BASELINES if name.endswith(end)}
    rows = []
    for name in (name for name in names if name not in baselines and name in last):
        beside = [f"{what} {_shown(last[name + end])}" for end, what in BASELINES.items() if name + end in last]
        rows.append((f"{name} {_arrow(name)}", _shown(first.get(name)), _shown(last[name]), ", ".join(beside)))
    titles = ("measure", f"step {first['step']}", f"step {last['step']}", "beside it")
    shown = len(titles) if any(row[-1] for row in rows) else len(titles) - 1  # some stages have no baseline
    yield element("h3", "held-out assets")
    yield table(titles[:shown], [row[:shown] for row in rows])
    every = [(str(line["step"]), *(_shown(line.get(name)) for name in names)) for line in stage.validation]
    yield details(f"all {len(every)} validations", table(("step", *names), every))


def _snapshots(stage: StageFiles) -> Iterator[Element]:
    for name, by_step in stage.snapshots.items():
        figures = [
            element(
                "figure",
                image(path, f"{stage.name}: {name} at step {step}"),
                element("figcaption", f"step {step}"),
                data_step=step,
            )
            for step, path in by_step.items()
        ]
        yield element("h3", f"{name} of held-out assets")
        yield element("div", *figures, class_="snapshots")


def _provenance(stage: StageFiles) -> Element:
    config = stage.config
    rows = [("digest of what decides the result", str(config.get("digest", "not recorded")))]
    rows += [("seed", str(config["seed"]))] if "seed" in config else []
    for number, one in enumerate(config.get("data", {}).get("datasets", ()), 1):
        rows.append((f"dataset {number}, digests", _dataset(one)))
    rows += [(f"weights of {name}", digest) for name, digest in config.get("weights", {}).items()]
    for one in stage.invocations:
        rows += _invocation(one)
    if not stage.invocations:
        rows.append(("command, machine, versions", "not recorded"))
    return table(("", ""), rows, "words")


def _dataset(one: Mapping[str, Any]) -> str:
    """Its digests and size, as far as the stage reads it."""
    digests = {"config": one.get("config_digest"), "assets": one.get("assets_digest")}
    said = [f"{name} {digest[:12]}" for name, digest in digests.items() if digest]
    said += [f"{one['views']} views"] if "views" in one else []
    return ", ".join([*said, f"weight {one.get('weight', 1):g}"])


def _invocation(one: Invocation) -> list[tuple[str, str]]:
    said = ", ".join(f"{name} {value}" for name, value in one.machine.items())
    return [
        (f"from step {one.from_step}", f"{one.started}, {one.processes} x {one.device}; {said}"),
        ("data", ", ".join(one.data)),
        ("versions", ", ".join(f"{name} {version}" for name, version in one.versions.items())),
    ]


def _mean(lines: Sequence[Mapping[str, Any]], name: str) -> float:
    return float(np.mean([line.get(name, np.nan) for line in lines]))


def _arrow(name: str) -> str:
    if name in HIGHER_IS_BETTER or name.startswith("iou_alpha"):
        return "↑"
    return "↓" if name in LOWER_IS_BETTER else ""


def _shown(value: float | None) -> str:
    """Six digits, as in the log; nothing for what is absent or not finite."""
    return f"{value:.6g}" if value is not None and np.isfinite(value) else ""
