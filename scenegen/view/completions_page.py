"""The gallery's page of completed scenes: pictures, outcomes and files that `fixer-complete` left."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from scenegen.errors import UsageError

COPIES = "completions"
REPORT, PICTURE, SCENE = "report.json", "picture.png", "scene.glb"


def find_completions(folder: Path) -> list[Path]:
    """The folders, this one or below it, that hold a completed scene. Raises UsageError if there is none."""
    found = sorted(report.parent for report in folder.rglob(REPORT) if (report.parent / SCENE).is_file())
    if not found:
        raise UsageError(
            f"--completions {folder}: no folder with {SCENE} and {REPORT} in it; make one with fixer-complete "
            f"--out NAME/{SCENE} --report NAME/{REPORT} --picture NAME/{PICTURE}"
        )
    return found


def write_completions(completions: Sequence[Path], folder: Path) -> None:
    """Copy the scenes into the gallery and write the page's data; older copies are replaced."""
    copies = folder / COPIES
    if copies.exists():
        shutil.rmtree(copies)
    content = {"scenes": list(_scenes(completions, copies))}
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


def _report(path: Path) -> dict[str, Any]:
    try:
        report: dict[str, Any] = json.loads(path.read_text())
        missing = {"system", "seconds", "instances"} - report.keys()
    except (ValueError, AttributeError) as error:
        raise UsageError(f"{path} is no report of fixer-complete: {error}") from error
    if missing:
        raise UsageError(f"{path} is no report of fixer-complete: it lacks {', '.join(sorted(missing))}")
    return report
