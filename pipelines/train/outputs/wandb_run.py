"""The log of a stage as a run of Weights & Biases, beside TensorBoard's; by rank 0 and the public API only.

The service is a guest of the training: what goes wrong with it is said once, and the steps go on.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from pipelines.atomic import write_text

ID_FILE = "wandb_run.json"
_ANSWER_S, _FINISH_S = 30.0, 20.0  # schedulers kill about 30 s after they ask a process to stop


class WandbRun:
    """One stage's run. The same folder resumes the same run.

    folder: of the stage; its wandb_run.json keeps the id, and the package writes into its wandb/. project: of the run;
    another one gets a run of its own.
    name: of the stage. description: what decides the result, shown as the run's config. told: the last step of each
    kind that was logged before; a resumed run is not told again of steps up to it.
    """

    def __init__(
        self,
        folder: Path,
        project: str,
        name: str,
        description: Mapping[str, Any],
        told: Mapping[str, int],
        stream: TextIO,
    ) -> None:
        self._stream = stream
        file = folder / ID_FILE
        known = json.loads(file.read_text()) if file.exists() else {}
        resumes = known.get("project") == project
        self._told = told if resumes else {}
        run_id = known["id"] if resumes else uuid.uuid4().hex[:12]
        if not resumes:
            write_text(file, json.dumps({"id": run_id, "project": project}) + "\n")
        group = folder.resolve().parent.name
        self._run = self._started(
            project=project,
            id=run_id,
            resume="allow",
            name=f"{group}/{name}",
            group=group,
            config=dict(description),
            dir=str(folder),
        )

    def log(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """kind: "train" or "validation", the first part of each name."""
        self._tell(kind, step, lambda: {f"{kind}/{name}": value for name, value in values.items()})

    def pictures(self, step: int, files: Sequence[Path]) -> None:
        """Of a validation."""
        import wandb

        self._tell("validation", step, lambda: {file.stem: wandb.Image(str(file)) for file in files})

    def close(self, failed: bool = False) -> None:
        """Waits a little for what is not uploaded yet."""
        if self._run is not None:
            run, self._run = self._run, None
            self._guarded(lambda: run.finish(exit_code=int(failed)))

    def _started(self, **run: Any) -> Any:
        """With the service, or offline if that does not answer. None if neither works."""
        import wandb

        settings = wandb.Settings(init_timeout=_ANSWER_S, finish_timeout=_FINISH_S, console="off")
        try:
            return wandb.init(**run, settings=settings)
        except Exception as error:  # noqa: BLE001  (whatever a guest raises must not end the training)
            self._say(f"does not answer ({_line(error)})")
        self._guarded(wandb.teardown)  # the service process still waits for the run of this id
        offline = self._guarded(lambda: wandb.init(**run, settings=settings, mode="offline"))
        if offline is not None:
            self._say(f"gets the log later: wandb sync {offline.sync_dir}")
        return offline

    def _tell(self, kind: str, step: int, values: Callable[[], dict[str, Any]]) -> None:
        run = self._run
        if run is not None and step > self._told.get(kind, 0):
            self._guarded(lambda: run.log(values(), step=step))

    def _guarded(self, action: Callable[[], Any]) -> Any:
        """What the action returns. None after an error, which is said and ends this log, not the training."""
        try:
            return action()
        except Exception as error:  # noqa: BLE001  (as above)
            self._run = None
            self._say(f"is given up: {_line(error)}")
            return None

    def _say(self, what: str) -> None:
        self._stream.write(f"Weights & Biases {what}; training goes on\n")


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
