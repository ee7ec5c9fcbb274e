"""One evaluation: open what the options name, judge it, tabulate the results, write the report."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from pipelines.errors import PipelineError, UsageError
from pipelines.evaluate.judging.evaluation import AnswerCallback, Condition, Evaluation, evaluate
from pipelines.evaluate.judging.judge import Judge
from pipelines.evaluate.judging.rules import Rules, rules_for
from pipelines.evaluate.judging.sweeps import run_sweep, steps
from pipelines.evaluate.metrics.scores import NeighbourSearch
from pipelines.evaluate.records.options import GROUND_TRUTH, DepthChoice, EvaluationOptions
from pipelines.evaluate.records.systems import System, SystemAnswer
from pipelines.evaluate.records.truth import TruthSet, TruthView
from pipelines.evaluate.rendering.open_rendering import RenderingScores, open_rendering
from pipelines.evaluate.report.facts import facts
from pipelines.evaluate.report.files import write_report
from pipelines.evaluate.report.paired import paired_by_step, paired_table
from pipelines.evaluate.report.sweeps import sweep_table
from pipelines.evaluate.report.tables import Aggregation, Table, comparison, system_rows
from pipelines.evaluate.systems.baselines import ResampledTruth
from pipelines.evaluate.systems.fixer import FixerSystem
from pipelines.evaluate.systems.open_systems import open_baselines, open_systems, open_training_assets
from pipelines.evaluate.systems.predictions import ViewReport, write_answer
from pipelines.evaluate.systems.training_assets import TrainingAssets
from pipelines.evaluate.truth.open_truth import open_truth, with_estimated_depth


def run(options: EvaluationOptions, settings: Mapping[str, Any]) -> str:
    """Write the report and return what to tell the person. settings: the command's, for the report's JSON.

    Raises PipelineError for what the person can correct.
    """
    setup = Setup.open(options)
    systems = {name: setup.judge_ordinary(one, options.depth) for name, one in setup.systems.items()}
    baselines = [setup.judge_ordinary(one, options.depth) for one in setup.baselines]
    judged = [*systems.values(), *baselines]
    _check_evaluations([one.evaluation for one in judged])
    tables = _comparison_tables(options, setup.judge.rules, systems, baselines)
    tables += _paired_tables(options, list(systems.values()), baselines)
    tables += _rendering_tables(setup.rendering, systems, baselines)
    sweep_tables, sweep_evaluations = _sweep(options, setup, judged)
    evaluations = [*(one.evaluation for one in judged), *sweep_evaluations]
    scenes = len({scene.scene for one in evaluations for scene in one.scenes})
    notes = facts(options, setup.judge.rules, scenes, setup.assets)
    tables += sweep_tables
    write_report(options.out, notes, settings, tables, evaluations)
    return f"wrote {options.out / 'report.md'}, report.json and plots of {len(tables)} tables"


@dataclass(frozen=True, slots=True)
class Judged:
    """A system or baseline, judged under the ordinary condition. rendering: its scores, one object for each table."""

    system: System
    evaluation: Evaluation
    rendering: Sequence[RenderingScores]

    @property
    def is_ceiling(self) -> bool:
        """Whether it is the truth itself: no baseline to beat, and no sweep changes it."""
        return isinstance(self.system, ResampledTruth)


@dataclass(frozen=True, slots=True)
class Setup:
    """Everything that one evaluation needs, opened and checked.

    systems: by option name. assets: those that baselines know. rendering: an empty collector of scores for each table.
    save_predictions: folder for the answers of our system, when it runs now.
    """

    truth: TruthSet
    systems: Mapping[str, System]
    baselines: Sequence[System]
    assets: TrainingAssets | None
    judge: Judge
    rendering: Sequence[RenderingScores]
    save_predictions: Path | None

    @classmethod
    def open(cls, options: EvaluationOptions) -> Setup:
        """Raises PipelineError for anything that is missing or makes no sense, before hours of work."""
        if not (options.systems.predictions or options.baselines.names or options.systems.checkpoint):
            raise UsageError("nothing to judge: give --predictions DIR, --checkpoint DIR or --baseline convex_hull")
        if options.device == "cuda" and not torch.cuda.is_available():
            raise UsageError("--device cuda was asked for, but PyTorch sees no CUDA device here")
        device, test_set = options.device, options.truth.test_set
        stored = open_truth(options.truth)
        truth = with_estimated_depth(stored, options.truth, options.depth.source, options.depth_weights, device)
        systems = open_systems(options.systems, test_set, options.seed, device)
        assets = open_training_assets(options.baselines)
        baselines = open_baselines(options.baselines.names, truth, assets)
        rules = rules_for(test_set, options.points, options.object_frame)
        judge = Judge(rules, options.seed, NeighbourSearch(device, options.threads))
        for name in options.sweeps:
            steps(name, options.depth)  # raises UsageError
        rendering = open_rendering(options.rendering, stored, device)
        return cls(truth, systems, baselines, assets, judge, rendering, options.save_predictions)

    def judge_ordinary(self, system: System, depth: DepthChoice) -> Judged:
        """Evaluate a system without any sweep, and render its answers if rendering metrics are wanted."""
        rendering = [one.empty_copy() for one in self.rendering]
        evaluation = self.ask(system, Condition(depth=depth), [one.add for one in rendering])
        return Judged(system, evaluation, rendering)

    def ask(self, system: System, condition: Condition, callbacks: Sequence[AnswerCallback] = ()) -> Evaluation:
        """Evaluate a system under a condition, with a progress bar, and save predictions where that is wanted."""
        keys = tqdm(self.truth.keys, f"{system.name} {condition.variation}".strip(), unit="view", disable=None)
        if isinstance(system, FixerSystem) and self.save_predictions is not None:
            callbacks = [_prediction_writer(self.save_predictions, system, condition), *callbacks]
        return evaluate(system, self.truth, self.judge, condition, keys, callbacks)


def _prediction_writer(folder: Path, system: FixerSystem, condition: Condition) -> AnswerCallback:
    """Writes every answer; those for a step of a sweep into the folder of the step."""
    depth = condition.depth
    report = ViewReport(
        system.pipeline.networks.title,
        depth=depth.source,
        alignment="" if depth.source == GROUND_TRUTH else depth.alignment,
        depth_ratio=depth.depth_ratio,
    )

    def write(view: TruthView, answer: SystemAnswer) -> None:
        if condition.masks != "pairs_separate":  # these are a part of the ordinary answers
            write_answer(folder / condition.variation, view.key, answer, report)

    return write


def _check_evaluations(evaluations: Sequence[Evaluation]) -> None:
    """Raises PipelineError if there was nothing to judge; warns of systems without any usable prediction."""
    for one in evaluations:
        if not one.views:
            raise PipelineError("no view has an instance to judge; lower --min-ratio, or check the test set")
        if all(scene.scores is None for scene in one.scenes):
            sys.stderr.write(f"fixer-evaluate: {one.system} has no usable prediction for any of {one.views} views\n")


def _comparison_tables(
    options: EvaluationOptions, rules: Rules, systems: Mapping[str, Judged], baselines: Sequence[Judged]
) -> list[Table]:
    """Systems and baselines: missing predictions first left out, then penalised."""
    of_systems = {name: one.evaluation for name, one in systems.items()}
    of_baselines = [one.evaluation for one in baselines]
    return [
        comparison(of_systems, of_baselines, _aggregation(options, rules, penalised)) for penalised in (False, True)
    ]


def _aggregation(options: EvaluationOptions, rules: Rules, penalised: bool) -> Aggregation:
    return Aggregation(penalised, rules.thresholds, options.seed, midi_times=options.truth.test_set == "front3d")


def _paired_tables(options: EvaluationOptions, systems: Sequence[Judged], baselines: Sequence[Judged]) -> list[Table]:
    """Systems against baselines, also by occlusion if that is swept; none without both, or without objects."""
    given = [one.evaluation for one in systems]
    compared = [one.evaluation for one in baselines if not one.is_ceiling]
    if not given or not compared or not compared[0].objects:
        return []
    tables = [paired_table(given, compared, options.seed)]
    if "occlusion" in options.sweeps:
        parts = [(step.label, step.keep) for step in steps("occlusion", options.depth) if step.keep is not None]
        tables.append(paired_by_step(given, compared, parts, options.seed))
    return tables


def _rendering_tables(
    rendering: Sequence[RenderingScores], systems: Mapping[str, Judged], baselines: Sequence[Judged]
) -> list[Table]:
    tables = []
    for number, collector in enumerate(rendering):
        rows = system_rows({name: one.rendering[number].rows(one.system.name) for name, one in systems.items()})
        rows += [row for one in baselines for row in one.rendering[number].rows(one.system.name)]
        tables.append(collector.table(rows))
    return tables


def _sweep(options: EvaluationOptions, setup: Setup, judged: Sequence[Judged]) -> tuple[list[Table], list[Evaluation]]:
    """A table for each sweep, and the evaluations that were made for them."""
    ordinary = {one.evaluation.system: one.evaluation for one in judged}
    systems = [one.system for one in judged if not one.is_ceiling]
    aggregation = _aggregation(options, setup.judge.rules, penalised=True)
    tables: list[Table] = []
    evaluations: list[Evaluation] = []
    for name in options.sweeps:
        results = run_sweep(name, systems, ordinary, options.depth, setup.ask)
        tables.append(sweep_table(name, results, aggregation))
        evaluations += [one.evaluation for one in results if one.evaluation and one.step.condition]
    return tables, evaluations
