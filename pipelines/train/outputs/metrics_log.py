"""The log of a stage: JSON lines for programs, TensorBoard, and a progress bar or lines for people."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from tqdm import tqdm

from pipelines.atomic import write_text
from pipelines.train.optimisation.metrics import StepMetrics
from pipelines.train.outputs.wandb_run import WandbRun

METRICS_FILE = "metrics.jsonl"
_LINE_EVERY_S = 20.0
_SHOWN = 8  # values of a validation that are printed; all are logged


class MetricsLog:
    """The log of one stage; made by rank 0 only.

    folder: of the stage. first_step: steps done before; lines of later steps, which a run logged that was killed after
    its last checkpoint, are dropped. total_steps: of the stage. seconds: its time limit from now on; None for no limit.
    stream: where lines for people go. wandb: a project of Weights & Biases, and what the run is; None for no such log.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        first_step: int,
        total_steps: int,
        seconds: float | None = None,
        stream: TextIO = sys.stderr,
        wandb: tuple[str, Mapping[str, Any]] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._name, self._total, self._stream = name, total_steps, stream
        self._seconds = math.inf if seconds is None else seconds
        self._file = folder / METRICS_FILE
        told = {line["kind"]: line["step"] for line in read_metrics(self._file)}
        _keep_until(self._file, first_step)
        self._lines = self._file.open("a")
        self._board = _board(folder / "tensorboard", first_step, stream)
        self._wandb = WandbRun(folder, wandb[0], name, wandb[1], told, stream) if wandb else None
        self._first, self._started = first_step, time.monotonic()
        self._last_line = -math.inf
        self._bar = (
            tqdm(total=total_steps, initial=first_step, unit="step", desc=name, file=stream)
            if stream.isatty()
            else None
        )

    def say(self, line: str) -> None:
        """Print a line for people, above the progress bar if there is one."""
        if self._bar:
            self._bar.write(line, file=self._stream)
        else:
            self._stream.write(line + "\n")
            self._stream.flush()

    def train(self, steps: Sequence[StepMetrics], **more: float) -> None:
        """Log the means over some steps; skipped ones are only counted. more: further values, such as rates."""
        if not steps:
            return
        counted = [metrics for metrics in steps if not metrics.skipped_in_a_row]
        values: dict[str, float] = dict(more)
        if counted:
            names = {name for metrics in counted for name in metrics.losses}
            for name in sorted(names):
                values[name] = float(np.mean([m.losses[name] for m in counted if name in m.losses]))
            values["gradient_norm"] = float(np.mean([m.gradient_norm for m in counted]))
            values["clip_limit"] = counted[-1].clip_limit
        values["skipped"] = float(len(steps) - len(counted))
        step = steps[-1].step
        self._write("train", step, values)
        self._print_progress(step, values)

    def validation(self, step: int, values: Mapping[str, float]) -> None:
        """Log the losses and measures of a validation."""
        self._write("validation", step, values)
        named = [f"{name} {value:.4g}" for name, value in values.items() if not name.startswith("loss_t")]
        more = f", {len(named) - _SHOWN} more in {METRICS_FILE}" if len(named) > _SHOWN else ""
        self.say(f"{self._name}: step {step}, held-out assets: {', '.join(named[:_SHOWN])}{more}")

    def pictures(self, step: int, files: Sequence[Path]) -> None:
        """Add picture files to TensorBoard, and to Weights & Biases."""
        from PIL import Image

        if self._wandb:
            self._wandb.pictures(step, files)
        if self._board:
            for file in files:
                self._board.add_image(file.stem, np.asarray(Image.open(file).convert("RGB")), step, dataformats="HWC")

    def close(self, failed: bool = False) -> None:
        """failed: the run ended with an error."""
        if self._bar:
            self._bar.close()
        if self._board:
            self._board.close()
        self._lines.close()
        if self._wandb:
            self._wandb.close(failed)

    def _write(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        rounded = {name: float(f"{value:.6g}") for name, value in values.items()}
        self._lines.write(json.dumps({"kind": kind, "step": step, "time": round(time.time(), 3), **rounded}) + "\n")
        self._lines.flush()
        if self._board:
            for name, value in values.items():
                self._board.add_scalar(f"{kind}/{name}", value, step)
        if self._wandb:
            self._wandb.log(kind, step, values)

    def _print_progress(self, step: int, values: Mapping[str, float]) -> None:
        shown = f"loss {values['loss']:.4g}" if "loss" in values else "no step counted"
        if values["skipped"]:
            shown += f", {values['skipped']:.0f} steps left out (gradient not finite)"
        if self._bar:
            self._bar.set_postfix_str(shown, refresh=False)
            self._bar.update(step - self._bar.n)
            return
        now = time.monotonic()
        if now - self._last_line < _LINE_EVERY_S and step < self._total:
            return
        self._last_line = now
        elapsed = max(now - self._started, 1e-6)
        rate = (step - self._first) / elapsed
        left_s = min((self._total - step) / rate, self._seconds - elapsed)
        left = f", {duration(left_s)} left" if left_s > 0 else ""
        waiting = f", {100 * values['data_wait']:.0f} % of it waiting for data" if values["data_wait"] > 0.05 else ""
        self.say(f"{self._name}: step {step}/{self._total}, {shown}, {1 / rate:.3g} s a step{waiting}{left}")


def read_metrics(file: Path) -> list[dict[str, Any]]:
    """The lines of a metrics file, without a last line that a killed process left unfinished."""
    if not file.exists():
        return []
    lines = file.read_text().split("\n")
    return [json.loads(line) for line in lines[:-1] if line]


def duration(seconds: float) -> str:
    """Seconds for people: 12.3 s, 5 min, 3.4 h."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def _keep_until(file: Path, step: int) -> None:
    kept = [json.dumps(line) + "\n" for line in read_metrics(file) if line["step"] <= step]
    if file.exists():
        write_text(file, "".join(kept))


def _board(folder: Path, first_step: int, stream: TextIO) -> Any:
    """A TensorBoard writer; without the package a line on `stream`, and None."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        stream.write(f"tensorboard is not installed; the log is {folder.parent / METRICS_FILE} alone\n")
        return None
    return SummaryWriter(str(folder), purge_step=first_step + 1)
