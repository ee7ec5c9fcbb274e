"""The gallery's page of completed scenes: the outputs of `fixer-complete`, and the evaluation of the model."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scenegen.errors import UsageError
from scenegen.view.evaluation import read_comparison

COPIES = "completions"
REPORT, PICTURE, SCENE = "report.json", "picture.png", "scene.glb"
EVALUATION, CURVES = "evaluation", "curves"


@dataclass(frozen=True, slots=True)
class Completions:
    """The content of a folder of completions.

    scenes: folders of completed scenes. evaluation: the folder of a report of `fixer-evaluate`, if there is one.
    curves: pictures of training runs, each named after its stage.
    """

    scenes: tuple[Path, ...]
    evaluation: Path | None = None
    curves: tuple[Path, ...] = ()


def find_completions(folder: Path) -> Completions:
    """Find completed scenes anywhere below a folder, and the evaluation and training curves in its subfolders.

    Raises UsageError if there is no completed scene.
    """
    scenes = sorted(report.parent for report in folder.rglob(REPORT) if (report.parent / SCENE).is_file())
    if not scenes:
        raise UsageError(
            f"--completions {folder}: no folder with {SCENE} and {REPORT} in it; make one with fixer-complete "
            f"--out NAME/{SCENE} --report NAME/{REPORT} --picture NAME/{PICTURE}"
        )
    evaluation = folder / EVALUATION
    return Completions(
        scenes=tuple(scenes),
        evaluation=evaluation if (evaluation / REPORT).is_file() else None,
        curves=tuple(sorted((folder / CURVES).glob("*.png"))),
    )


def write_completions(completions: Completions, folder: Path) -> None:
    """Copy the files into the gallery and write the page's data; older copies are replaced."""
    copies = folder / COPIES
    if copies.exists():
        shutil.rmtree(copies)
    content = {
        "scenes": list(_scenes(completions.scenes, copies)),
        "evaluation": _evaluation(completions.evaluation, copies) if completions.evaluation else None,
        "curves": _copied(completions.curves, copies / CURVES),
    }
    (folder / "completions_data.js").write_text(f"const COMPLETIONS = {json.dumps(content)};\n")


def _scenes(completions: Sequence[Path], copies: Path) -> Iterator[dict[str, Any]]:
    for number, source in enumerate(completions):
        report = _report(source / REPORT)
        target = copies / f"{number:04d}"
        target.mkdir(parents=True)
        files = [name for name in (PICTURE, SCENE, REPORT) if (source / name).is_file()]
        for name in files:
            shutil.copyfile(source / name, target / name)
        yield {
            "name": source.name,
            "system": report["system"],
            "inputs": report.get("inputs", {}),
            "seconds": report["seconds"],
            "outcomes": Counter(one["outcome"] for one in report["instances"].values()),
            "instances": {
                number: {key: one.get(key) for key in ("outcome", "reason", "faces", "visible_share")}
                for number, one in report["instances"].items()
            },
            "files": {name: f"{COPIES}/{target.name}/{name}" for name in files},
        }


def _evaluation(source: Path, copies: Path) -> dict[str, Any]:
    """The first table of an evaluation, and the paths of its plots and files in the gallery."""
    reports = [file for file in (source / "report.md", source / REPORT) if file.is_file()]
    return read_comparison(source).to_dict() | {
        "plots": _copied(sorted(source.glob("*.png")), copies / EVALUATION),
        "files": _copied(reports, copies / EVALUATION),
    }


def _copied(files: Sequence[Path], target: Path) -> dict[str, str]:
    """Copy files; name of each file -> its path in the gallery."""
    target.mkdir(parents=True, exist_ok=True)
    for file in files:
        shutil.copyfile(file, target / file.name)
    return {file.name: f"{COPIES}/{target.name}/{file.name}" for file in files}


def _report(path: Path) -> dict[str, Any]:
    try:
        report: dict[str, Any] = json.loads(path.read_text())
        missing = {"system", "seconds", "instances"} - report.keys()
    except (ValueError, AttributeError) as error:
        raise UsageError(f"{path} is no report of fixer-complete: {error}") from error
    if missing:
        raise UsageError(f"{path} is no report of fixer-complete: it lacks {', '.join(sorted(missing))}")
    return report
