"""What one call of the command does: open truth and systems, judge, sweep, write."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from tqdm import tqdm

from pipelines.errors import PipelineError, UsageError
from pipelines.evaluate.depth import ALIGNMENT_NOTES, GROUND_TRUTH, DepthChoice
from pipelines.evaluate.evaluation import Condition, Evaluation, Watcher, evaluate
from pipelines.evaluate.judge import Judge, Rules
from pipelines.evaluate.metrics.frames import FRAME_NOTES
from pipelines.evaluate.predictions import ViewReport, write_answer
from pipelines.evaluate.records import System, SystemAnswer, TruthView
from pipelines.evaluate.rendering.open import Pictures, open_rendering
from pipelines.evaluate.report.files import write_report
from pipelines.evaluate.report.paired import paired_by_step, paired_table
from pipelines.evaluate.report.tables import Reading, Table, comparison, system_rows
from pipelines.evaluate.scores import VOXEL, Searching
from pipelines.evaluate.sweeps import steps, sweep_table
from pipelines.evaluate.systems.baselines import TruthAgain
from pipelines.evaluate.systems.completer import Completer
from pipelines.evaluate.systems.open import open_baselines, open_systems, training_assets
from pipelines.evaluate.systems.training_assets import TrainingAssets
from pipelines.evaluate.truth.open import open_truth, rules_of, with_depth

if TYPE_CHECKING:
    from pipelines.evaluate.cli import EvaluateCommand

FEW_SCENES = 10  # a percentile bootstrap of fewer groups is too narrow


def run(command: EvaluateCommand) -> str:
    """Write the report and return what to tell the person. Raises PipelineError."""
    if not (command.predictions or command.baseline or command.checkpoint):
        raise UsageError("nothing to judge: give --predictions DIR, --checkpoint DIR or --baseline convex_hull")
    if command.device == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda was asked for, but PyTorch sees no CUDA device here")
    stored = open_truth(command)
    truth = with_depth(command, stored)
    given = open_systems(command)
    assets = training_assets(command)
    baselines = open_baselines(command, truth, assets)
    judge = Judge(rules_of(command), command.seed, Searching(command.device, command.threads))
    depth = DepthChoice(command.depth, command.alignment, command.alpha)
    for name in command.sweep:
        steps(name, depth)  # a sweep that makes no sense is refused before hours of work
    pictures = open_rendering(command, stored)
    drawn: dict[str, list[Pictures]] = {}

    def ask(system: System, condition: Condition) -> Evaluation:
        label = f"{system.name} {condition.variation}".strip()
        keys = tqdm(truth.keys, label, unit="view", disable=None)
        watchers: list[Watcher] = []
        if isinstance(system, Completer) and command.save_predictions is not None:
            watchers.append(keeper(command.save_predictions, system, condition))
        if not condition.variation and condition.masks == "exact":
            drawn[system.name] = [one.fresh() for one in pictures]
            watchers += [one.watch for one in drawn[system.name]]
        return evaluate(system, truth, judge, condition, keys, watchers)

    of_given = {name: ask(system, Condition(depth=depth)) for name, system in given.items()}
    of_baselines = [ask(one, Condition(depth=depth)) for one in baselines]
    evaluations = [*of_given.values(), *of_baselines]
    _check(evaluations)
    readings = [
        Reading(penalised, judge.rules.thresholds, command.seed, midi_times=command.test_set == "front3d")
        for penalised in (False, True)
    ]
    tables = [comparison(of_given, of_baselines, reading) for reading in readings]
    rivals = [one for one, system in zip(of_baselines, baselines, strict=True) if not isinstance(system, TruthAgain)]
    tables += paired_tables(command, list(of_given.values()), rivals, depth)
    for number, of_all in enumerate(pictures):
        rows = system_rows({name: drawn[one.system][number].rows(one.system) for name, one in of_given.items()})
        rows += [row for one in of_baselines for row in drawn[one.system][number].rows(one.system)]
        tables.append(of_all.table(rows))
    ordinary = {one.system: one for one in evaluations}
    swept: list[System] = [*given.values(), *(one for one in baselines if not isinstance(one, TruthAgain))]
    for name in command.sweep:
        table, made = sweep_table(name, swept, ordinary, depth, ask, readings[1])
        tables.append(table)
        evaluations += made
    scenes = len({scene.scene for one in evaluations for scene in one.scenes})
    write_report(command.out, facts(command, judge.rules, depth, scenes, assets), asdict(command), tables, evaluations)
    return f"wrote {command.out / 'report.md'}, report.json and plots of {len(tables)} tables"


def paired_tables(
    command: EvaluateCommand, given: Sequence[Evaluation], rivals: Sequence[Evaluation], depth: DepthChoice
) -> list[Table]:
    """Systems against baselines, also by occlusion where that is swept; none without both, or without objects."""
    if not given or not rivals or not rivals[0].objects:
        return []
    tables = [paired_table(given, rivals, command.seed)]
    if "occlusion" in command.sweep:
        parts = [(step.label, step.keep) for step in steps("occlusion", depth) if step.keep is not None]
        tables.append(paired_by_step(given, rivals, parts, command.seed))
    return tables


def keeper(folder: Path, system: Completer, condition: Condition) -> Watcher:
    """Writes every answer, a sweep's into the folder of its step."""
    depth = condition.depth
    said = ViewReport(
        system.pipeline.networks.title,
        depth=depth.source,
        alignment="" if depth.source == GROUND_TRUTH else depth.alignment,
        depth_ratio=depth.depth_ratio,
    )

    def keep(view: TruthView, answer: SystemAnswer) -> None:
        if condition.masks != "pairs_separate":  # those are a part of the ordinary answers
            write_answer(folder / condition.variation, view.key, answer, said)

    return keep


def facts(
    command: EvaluateCommand, rules: Rules, depth: DepthChoice, scenes: int, assets: TrainingAssets | None
) -> list[str]:
    """What a reader of the tables must know. scenes: how many were judged. assets: that baselines know."""
    selection = f"the {command.largest} largest instances" if command.largest else "all instances"
    lines = [
        f"Test set: {command.test_set}; judged are {selection} of a view that cover {command.min_ratio:.2%} of it."
        if command.test_set in ("own", "arsg")
        else f"Test set: {command.test_set}, judged by its own rule of selection.",
        f"Depth given to systems that run now: {depth}."
        + ("" if depth.source == GROUND_TRUTH else f" Here {ALIGNMENT_NOTES[depth.alignment]}."),
        f"{rules.points} points an object, seed {command.seed}. Brackets: 95 % interval, bootstrap over {scenes} scenes"
        + ("." if scenes >= FEW_SCENES else ", which are too few to trust it."),
    ]
    if rules.frame is not None:
        lines.append(
            f"CD-O, F-O (threshold 0.1), IoU-V and NC: {FRAME_NOTES[rules.frame]}. IoU-V: voxels of {VOXEL:g}. "
            "IoU-B: axis-aligned boxes in the world. NC: mean |cosine| of neighbours' normals."
        )
    lines.append(
        "CD-S, F-S: all judged objects of a view together, world units"
        + (", cut to what the image frame can show." if rules.clip else ".")
    )
    lines.append(
        "Penalty of a missing prediction: 0 for every score; for the Chamfer distance the diagonal of the truth's box."
    )
    if assets is not None:
        lines.append(
            f"nearest asset, mean shape: know the {len(assets)} training assets of {assets.objects.root.location}; "
            "where one of these is judged, the nearest asset may be the true one."
        )
    foreign = [given.partition("=")[0] for given in command.predictions if given.startswith(("midi=", "gen3dsr="))]
    if foreign:
        moved = "as a whole moved by a similarity onto the visible points of the depth above"
        lines.append(f"{', '.join(foreign)}: {moved if command.placement == 'similarity' else 'taken in place'}.")
    return lines


def _check(evaluations: Sequence[Evaluation]) -> None:
    for one in evaluations:
        if not one.views:
            raise PipelineError("no view has an instance to judge; lower --min-ratio, or check the test set")
        if all(scene.scores is None for scene in one.scenes):
            sys.stderr.write(f"fixer-evaluate: {one.system} has no usable prediction for any of {one.views} views\n")
