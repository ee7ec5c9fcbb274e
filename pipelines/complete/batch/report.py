"""What became of a batch: RESULTS/report.json for programs, RESULTS/index.html for people."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal
from xml.etree.ElementTree import Element

from pipelines.atomic import write_text
from pipelines.complete.batch.folder import PictureFiles
from pipelines.errors import UsageError
from pipelines.pages.markup import details, element, image, link, page, table

FORMAT = 1
REPORT, PAGE = "report.json", "index.html"
_ORDER = ("completed", "skipped", "failed", "nothing completed", "not begun")

Failures = dict[str, str]
PictureOutcome = Literal["completed", "nothing completed", "failed", "not begun"]


@dataclass(frozen=True)
class PictureResult:
    """outcome: "completed" if one object was, at least. reason: why it failed.

    objects: number of objects by outcome. seconds: of the networks. files: of results, from the folder of all results;
    objects/ stands for a file an object. sources: the picture's own files.
    """

    name: str
    outcome: PictureOutcome
    reason: str = ""
    objects: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    files: Sequence[str] = ()
    sources: Mapping[str, str] = field(default_factory=dict)


def check_results(results: Path) -> None:
    """Raises UsageError if the files of another program would be replaced."""
    page_file, report = results / PAGE, results / REPORT
    if not (page_file.exists() or report.exists()):
        return
    try:
        ours = "pictures" in json.loads(report.read_text())
    except (OSError, ValueError, TypeError):
        ours = False
    if not ours:
        there = page_file if page_file.exists() else report
        raise UsageError(f"{there} is there, and was not written by --batch; choose another --out")


def picture_result(picture: PictureFiles, results: Path, failures: Failures) -> PictureResult:
    """What is in the folder of a picture, or why there is none."""
    sources: dict[str, str] = {role: str(path) for role, path in picture.paths.items()}
    folder = results / picture.name
    if not folder.exists():
        reason = failures.get(picture.name, "")
        return PictureResult(picture.name, "failed" if reason else "not begun", reason, sources=sources)
    report = _report(results, picture.name)
    objects = dict(Counter(one["outcome"] for one in report["instances"].values()))
    files = [f"{picture.name}/{path.name}{'/' if path.is_dir() else ''}" for path in sorted(folder.iterdir())]
    outcome: PictureOutcome = "completed" if objects.get("completed") else "nothing completed"
    return PictureResult(picture.name, outcome, "", objects, report["seconds"], files, sources)


def write_results(results: Path, done: Sequence[PictureResult]) -> None:
    """Both files."""
    pictures = {one.name: asdict(one) for one in done}
    content = {"format": FORMAT, "pictures": pictures}
    write_text(results / REPORT, json.dumps(content, indent=1) + "\n")
    write_text(results / PAGE, _page(results, done))


def counted(outcomes: Iterable[str], what: str = "picture") -> str:
    """As "5 objects completed, 1 skipped"; "no object" for nothing."""
    counts = Counter(outcomes)
    parts = [f"{counts[outcome]} {outcome}" for outcome in _ORDER if counts[outcome]]
    if not parts:
        return f"no {what}"
    number, _, outcome = parts[0].partition(" ")
    parts[0] = f"{number} {what}{'' if number == '1' else 's'} {outcome}"
    return ", ".join(parts)


def _page(results: Path, done: Sequence[PictureResult]) -> str:
    reports = {one.name: _report(results, one.name) for one in done if one.files}
    systems = sorted({report["system"] for report in reports.values()})
    title = "completed pictures"
    summary = f"{counted(one.outcome for one in done)}; by {', '.join(systems) or 'no model yet'}; "
    heading = element("header", element("h1", title), element("p", summary, link(REPORT, REPORT)))
    hint = (
        "Each picture: the image with its masks, and the completed objects from its camera and from the side. The GLB "
        "opens in Blender and in any viewer of glTF."
    )
    cards = element("main", *(_card(one, reports.get(one.name)) for one in done), class_="cards")
    return page(title, heading, cards, element("p", hint, class_="foot"))


def _card(one: PictureResult, report: Mapping[str, Any] | None) -> Element:
    if report is None:
        said = element("span", one.outcome if not one.reason else f"failed: {one.reason}", class_="bad")
        return element("section", element("div", element("b", one.name), said, class_="facts"))
    good = "good" if one.outcome == "completed" else "bad"
    links = [link(f"{one.name}/{file}", text) for file, text in (("scene.glb", "scene (GLB)"), (REPORT, "report"))]
    facts = [
        element("b", one.name),
        element("span", counted(_repeated(one.objects), "object"), class_=good),
        element("span", f"{one.seconds:.1f} s"),
        *links,
    ]
    inputs = report["inputs"]
    given = ", ".join(f"{name} {inputs[name]}" for name in ("depth", "camera") if inputs.get(name))
    assumed = [element("p", text) for text in (given, *inputs.get("assumed", ()))]
    shown = f"{one.name}: image with masks, completed from its camera and from the side"
    sheet = image(f"{one.name}/picture.png", shown, class_="sheet")
    told = (element("div", *facts, class_="facts"), _objects(one, report), details("input", *assumed))
    return element("section", sheet, *told)


def _objects(one: PictureResult, report: Mapping[str, Any]) -> Element:
    rows = []
    for number, said in report["instances"].items():
        faces, visible = said.get("faces"), said.get("visible_share")
        name = link(f"{one.name}/objects/{number}.glb", number) if said["outcome"] == "completed" else number
        about = said["reason"] or ("cut by the image's border" if said.get("cut_by_border") else "")
        share = "" if visible is None else f"{100 * visible:.0f} %"
        rows.append((name, said["outcome"], "" if faces is None else f"{faces:,}", share, about))
    return details("objects", table(("object", "outcome", "faces", "visible", ""), rows))


def _repeated(objects: Mapping[str, int]) -> list[str]:
    return [outcome for outcome, count in objects.items() for _ in range(count)]


def _report(results: Path, name: str) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((results / name / REPORT).read_text())
    return report
