"""`scenegen render`: the whole dataset in one command. What later stages lack is said before anything is rendered."""

import dataclasses
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from scenegen.annotate.options import ESTIMATORS, ESTIMATORS_OF_PRESET, EstimatorOptions
from scenegen.commands.options import DatasetOptions, JobOptions, open_root, tell
from scenegen.config import JobConfig
from scenegen.contract.help_page import MAIN, HelpGroups
from scenegen.contract.storage import Root
from scenegen.errors import EXIT_DONE, UsageError
from scenegen.jobs.assignment import resolve_assignment
from scenegen.objects.options import ObjectOptions, object_preset

if TYPE_CHECKING:
    from scenegen.objects.steps import Toolkit
    from scenegen.shards.config_file import StoredConfig

STAGES = ("render", "objects", "annotate")
OFFLINE = "--estimators simulated --extractor efficientnet_lite0"
_FROM_PRESET: Any = None  # filled in by __post_init__


@dataclass(frozen=True, kw_only=True)
class Render(DatasetOptions, JobOptions):
    """Make a dataset: scenes, then their objects and depth estimates.

    Scenes are sampled, rendered, checked and stored in shards. Stop at any time; the same command resumes.

    Exit codes: 0 done, 1 error, 2 bad usage, 3 more failed scenes than --max-failed, 75 stopped by a signal or because
    Ray's node died: run again.
    """

    out: str = "data/"
    """Where the dataset is stored: a folder, or a URI such as s3://bucket/folder."""
    array: str = "auto"
    """I/N for task I of N, counted from 0; auto asks Slurm, then Kubernetes, and otherwise does everything."""
    max_failed: float = 0.05
    """Share of failed scenes above which the exit code is 3."""
    retry_failed: bool = False
    """Try scenes again that are recorded as failed."""
    resume_config: bool = False
    """Resume with the config that is stored in --out, instead of stating it again."""
    stages: str = ",".join(STAGES)
    """What to make, separated by commas: render (the scenes), objects (as scenegen objects), annotate (as scenegen
    annotate)."""
    estimators: str = _FROM_PRESET
    """Depth estimators of the annotate stage, separated by commas: the four of the paper, or simulated, which needs
    no network."""
    extractor: str | None = None
    """Image features of the objects stage: dinov2, or efficientnet_lite0, which needs no download. Short for
    --objects.extractor."""
    objects: ObjectOptions = _FROM_PRESET
    weights: tuple[str, ...] = ()
    """NAME=PATH or NAME=HUB_ID: where the weights of an estimator or of the extractor are found."""
    download: bool = False
    """Fetch missing weights from the Hugging Face hub."""
    log_json: Path | None = None
    """A log file with one JSON object a line, for machines."""

    HELP_GROUPS: ClassVar[HelpGroups] = {
        MAIN: "num-scenes out preset seed stages",
        "objects and depth estimates": "extractor estimators weights download",
        "how it is computed": "device workers scene-timeout array ray-address",
        "resuming, failures and logs": "resume-config retry-failed max-failed log-json",
        "what is made": "scenes-per-shard renderer",
    }

    def __post_init__(self) -> None:
        DatasetOptions.__post_init__(self)
        if self.estimators is None:
            object.__setattr__(self, "estimators", ESTIMATORS_OF_PRESET.get(self.preset, ESTIMATORS))
        if self.objects is None:
            object.__setattr__(self, "objects", object_preset(self.preset))
        if self.extractor is not None:
            object.__setattr__(self, "objects", dataclasses.replace(self.objects, extractor=self.extractor))

    def run(self) -> int:
        root = open_root(self.out)
        command = self._with_stored_preset(root)
        stages = command._checked_stages()
        # What cannot be meant is refused first, then what is missing is said, then work begins.
        command._job()
        resolve_assignment(self.array, os.environ)
        stored = command._stored(root) if "render" in stages else None
        tools = command._check_networks(stages)
        run_stage: dict[str, Callable[[], int]] = {
            "render": lambda: command._render(root, stored),
            "objects": lambda: command._make_objects(root, tools),
            "annotate": command._annotate,
        }
        for stage in STAGES:
            code = run_stage[stage]() if stage in stages else EXIT_DONE
            if code != EXIT_DONE:
                return code
        if set(stages) - {"render"}:
            _write_index(root)
        return EXIT_DONE

    def _render(self, root: Root, stored: "StoredConfig | None") -> int:
        from scenegen.rendering.run import render

        assert stored is not None
        result = render(root, stored, self._job(), self.log_json)
        tell(result.summary)
        return result.exit_code

    def _make_objects(self, root: Root, tools: "Toolkit | None") -> int:
        from scenegen.objects.run import ObjectsRun, make_objects
        from scenegen.objects.wanted_assets import ScenesMissingError
        from scenegen.shards.config_file import read_config

        assert tools is not None
        stored = read_config(root)
        preset = (stored.preset if stored else "") or self.preset
        later = f"when all are there: scenegen objects --data {self.out} --preset {preset}"
        if resolve_assignment(self.array, os.environ).count > 1:
            tell(f"objects wait for the scenes of all tasks; {later} (as an array job, or alone)")
            return EXIT_DONE
        try:
            run = ObjectsRun(self.out, self.out, self.objects, tools, self._job(), log_json=self.log_json)
            result = make_objects(run)
        except ScenesMissingError:
            tell(f"objects wait for the scenes of other processes; {later}")
            return EXIT_DONE
        tell(result.summary)
        return result.exit_code

    def _annotate(self) -> int:
        from scenegen.annotate.run import annotate
        from scenegen.objects.run import torch_device

        result = annotate(
            self.out,
            self.estimators,
            self._weights_of(self.estimators.split(",")),
            EstimatorOptions(device=torch_device(self.device)),
            workers=None if self.workers == "auto" else self.workers,
            array=self.array,
            ray_address=self.ray_address,
            log_json=self.log_json,
        )
        tell(f"depth estimates\n{result.summary}")
        return result.exit_code

    def _check_networks(self, stages: Sequence[str]) -> "Toolkit | None":
        """What the later stages need of networks; everything that is missing is said at once, before anything is made.

        Raises UsageError, MissingWeightsError.
        """
        from scenegen.annotate.run import check_estimators
        from scenegen.annotate.weights import MissingWeightsError
        from scenegen.objects.steps import AUTO, Encoders, choose_steps, find_tools

        estimators = [name.strip() for name in self.estimators.split(",")]
        strangers = {text.partition("=")[0] for text in self.weights} - {*estimators, self.objects.extractor}
        if strangers:
            raise UsageError(f"--weights names {', '.join(sorted(strangers))}, which nothing here uses")
        tools, missing = None, []
        if "annotate" in stages:
            try:
                check_estimators(self.estimators, self._weights_of(estimators), self.download)
            except MissingWeightsError as error:
                missing.append(str(error))
        if "objects" in stages:
            steps = choose_steps(AUTO, Encoders())
            try:
                weights = self._weights_of([self.objects.extractor])
                tools = find_tools(steps, self.objects, Encoders(), weights, self.download)
            except MissingWeightsError as error:
                missing.append(str(error))
        if missing:
            advice = f"To do without all of them: {OFFLINE}\nTo render the scenes alone, for now: --stages render"
            raise MissingWeightsError("\n".join([*missing, advice]))
        return tools

    def _job(self) -> JobConfig:
        return self.job_config(array=self.array, max_failed=self.max_failed, retry_failed=self.retry_failed)

    def _weights_of(self, names: Sequence[str]) -> tuple[str, ...]:
        return tuple(text for text in self.weights if text.partition("=")[0] in names)

    def _with_stored_preset(self, root: Root) -> "Render":
        """The same command; resumed, its later stages take the defaults of the preset that the dataset is of."""
        from scenegen.shards.config_file import read_config

        stored = read_config(root) if self.resume_config else None
        if stored is None or stored.preset in ("", self.preset):
            return self
        here, there = Render(preset=self.preset), Render(preset=stored.preset)
        estimators = there.estimators if self.estimators == here.estimators else self.estimators
        objects = _untouched_from(there.objects, self.objects, here.objects)
        return dataclasses.replace(self, estimators=estimators, objects=objects)

    def _stored(self, root: Root) -> "StoredConfig":
        """What is to be made, or what was begun. Raises UsageError for what cannot be meant or is not what is there."""
        from scenegen.scenes.factory import describe_dataset
        from scenegen.shards.config_file import refuse_other, require_config

        if not self.resume_config:
            described = describe_dataset(self.dataset_config(), self.preset)
            refuse_other(root, described)
            return described
        stored = require_config(root)
        changes = self.changes()
        if self.num_scenes not in (None, stored.config.num_scenes):
            changes.append(f"num_scenes {stored.config.num_scenes} -> {self.num_scenes}")
        if changes:
            raise UsageError(f"--resume-config takes all of it from {self.out}; leave out: {', '.join(changes)}")
        return describe_dataset(stored.config, stored.preset)

    def _checked_stages(self) -> list[str]:
        stages = [stage.strip() for stage in self.stages.split(",")]
        unknown = [stage for stage in stages if stage not in STAGES]
        if unknown:
            raise UsageError(f"there is no stage {unknown[0]!r}; --stages can be: {', '.join(STAGES)}")
        return stages


def _untouched_from(there: ObjectOptions, mine: ObjectOptions, here: ObjectOptions) -> ObjectOptions:
    """The options of `there`, but for those in which `mine` differs from the defaults that it began with."""
    mine_by_name, here_by_name = dataclasses.asdict(mine), dataclasses.asdict(here)
    return dataclasses.replace(there, **{n: v for n, v in mine_by_name.items() if v != here_by_name[n]})


def _write_index(root: Root) -> None:
    """dataset.json and the data card once more, if the dataset is complete: they name what lies beside the views."""
    from scenegen.shards.config_file import require_config
    from scenegen.shards.merge import merge
    from scenegen.shards.status import look

    config = require_config(root).config
    ledgers = look(root, config).ledgers
    if len(ledgers) == config.num_shards:
        merge(root, config, ledgers)
