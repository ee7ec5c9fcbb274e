import io
import json
from pathlib import Path

from scenegen.rendering.progress import Progress

MADE = {"event": "made", "scene": 0, "views_rejected": {"too few usable objects": 2}, "quarantined": []}
FAILED = {"event": "failed", "scene": 1, "reason": "timeout: not finished after 2 s"}
LEFT_OUT = {"event": "made", "scene": 2, "views_rejected": {}, "quarantined": [["asset/a", "truncated file"]]}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def told(stream: io.StringIO, log: Path | None = None) -> tuple[str, str]:
    with Progress(4, log, stream) as progress:
        progress.skip(1)
        for event in (MADE, FAILED, LEFT_OUT):
            progress.on_event(event)
        return stream.getvalue(), progress.summary()


def test_a_log_file_gets_lines_with_rate_and_reasons():
    lines, summary = told(io.StringIO())
    assert "scene 1 failed: timeout: not finished after 2 s" in lines
    assert "scene 2: asset asset/a left out: truncated file" in lines
    assert "4/4 scenes" in lines and "\r" not in lines
    assert "2 scenes made" in summary and "1 failed (timeout: not finished after 2 s: 1)" in summary
    assert "2 views refused before rendering (too few usable objects: 2)" in summary


def test_a_terminal_gets_a_bar():
    drawn, _ = told(Terminal())
    assert "\r" in drawn and "scene/s" in drawn


def test_a_machine_gets_a_json_object_an_event(tmp_path: Path):
    log = tmp_path / "log.jsonl"
    told(io.StringIO(), log)
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert [event["event"] for event in events] == ["made", "failed", "made"]
    assert events[1]["reason"] == FAILED["reason"] and all("time" in event for event in events)
