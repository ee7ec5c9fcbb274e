"""`scenegen render`: the whole dataset in one command, decided and checked before anything is rendered."""

import dataclasses
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from scenegen.annotate.options import ESTIMATORS, ESTIMATORS_OF_PRESET, EstimatorOptions
from scenegen.commands.options import DatasetOptions, JobOptions, open_root, tell
from scenegen.config import JobConfig
from scenegen.contract.command.help_page import MAIN, HelpGroups
from scenegen.errors import EXIT_DONE, UsageError
from scenegen.jobs.assignment import Assignment, resolve_assignment
from scenegen.objects.options import ObjectOptions, object_preset

if TYPE_CHECKING:
    from scenegen.contract.storage import Root
    from scenegen.objects.steps import Toolkit
    from scenegen.shards.config_file import StoredConfig

STAGES = ("render", "objects", "annotate")
OFFLINE = "--estimators simulated --extractor efficientnet_lite0"
_FROM_PRESET: Any = None  # filled in by __post_init__


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderOrder:
    """What a render is going to do, decided and checked before it begins; its stages only carry this out.

    stages: in their order. stored: the dataset; None if `root` holds none and no scene is to be made. assignment: the
    share of this process. preset: whose defaults the later stages take. tools: for the objects stage; None without it.
    estimators, weights: of the annotate stage. log_json: a file that gets one JSON object for each event.
    """

    root: "Root"
    stages: tuple[str, ...]
    stored: "StoredConfig | None"
    job: JobConfig
    assignment: Assignment
    preset: str
    objects: ObjectOptions
    tools: "Toolkit | None"
    estimators: str
    weights: tuple[str, ...]
    log_json: Path | None


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
        order = self.decide()
        make: dict[str, Callable[[RenderOrder], int]] = {
            "render": _make_scenes,
            "objects": _make_objects,
            "annotate": _estimate_depth,
        }
        for stage in order.stages:
            code = make[stage](order)
            if code != EXIT_DONE:
                return code
        if order.stages != ("render",):
            _list_tables_in_index(order)
        return EXIT_DONE

    def decide(self) -> RenderOrder:
        """Decide everything: what was typed is checked first, then what the place holds, then what networks lack.

        Raises UsageError, SceneGenError or MissingWeightsError; nothing is written before it returns.
        """
        from scenegen.shards.config_file import read_config

        stages = _parse_stages(self.stages)
        root = open_root(self.out).to_write()
        job = self.job_config(max_failed=self.max_failed, retry_failed=self.retry_failed)
        assignment = resolve_assignment(self.array, os.environ)
        stored = self._dataset(root) if "render" in stages else read_config(root)
        begun_as = stored.preset if stored and self.resume_config else ""
        estimators, objects = self._later_stages(begun_as or self.preset)
        tools, weights = self._find_networks(stages, estimators, objects)
        return RenderOrder(
            root=root,
            stages=stages,
            stored=stored,
            job=job,
            assignment=assignment,
            preset=(stored.preset if stored else "") or self.preset,
            objects=objects,
            tools=tools,
            estimators=estimators,
            weights=weights,
            log_json=self.log_json,
        )

    def _dataset(self, root: "Root") -> "StoredConfig":
        """The dataset to be made: as it was asked for, or, resumed, as it was begun.

        Raises UsageError for what cannot be meant, and if another dataset is there.
        """
        from scenegen.scenes.factory import describe_dataset
        from scenegen.shards.config_file import refuse_other_dataset, require_config

        if not self.resume_config:
            wanted = describe_dataset(self.dataset_config(), self.preset)
        else:
            stored = require_config(root)
            changes = self.changes()
            if self.num_scenes not in (None, stored.config.num_scenes):
                changes.append(f"num_scenes {stored.config.num_scenes} -> {self.num_scenes}")
            if changes:
                raise UsageError(f"--resume-config takes all of it from {self.out}; leave out: {', '.join(changes)}")
            wanted = describe_dataset(stored.config, stored.preset)
        begun = refuse_other_dataset(root, wanted)
        return dataclasses.replace(wanted, preset=begun.preset) if begun else wanted

    def _later_stages(self, preset: str) -> tuple[str, ObjectOptions]:
        """(estimators, options of the objects), with the defaults of this preset where nothing else was asked for."""
        if preset == self.preset:
            return self.estimators, self.objects
        here, there = Render(preset=self.preset), Render(preset=preset)
        estimators = there.estimators if self.estimators == here.estimators else self.estimators
        before, asked = dataclasses.asdict(here.objects), dataclasses.asdict(self.objects)
        changed = {name: value for name, value in asked.items() if value != before[name]}
        return estimators, dataclasses.replace(there.objects, **changed)

    def _find_networks(
        self, stages: Iterable[str], estimators: str, objects: ObjectOptions
    ) -> "tuple[Toolkit | None, tuple[str, ...]]":
        """(tools of the objects stage, --weights of the annotate stage), with everything that is missing said at once.

        Raises UsageError, MissingWeightsError.
        """
        from scenegen.annotate.run import check_estimators
        from scenegen.annotate.weights import MissingWeightsError
        from scenegen.objects.steps import AUTO, Encoders, choose_steps, find_tools

        weights = {text: text.partition("=")[0] for text in self.weights}
        names = {name.strip() for name in estimators.split(",")}
        of_estimators = tuple(text for text, name in weights.items() if name in names)
        of_extractor = tuple(text for text, name in weights.items() if name == objects.extractor)
        strangers = set(weights.values()) - {*names, objects.extractor}
        if strangers:
            raise UsageError(f"--weights names {', '.join(sorted(strangers))}, which nothing here uses")
        tools, missing = None, []
        if "annotate" in stages:
            try:
                check_estimators(estimators, of_estimators, self.download)
            except MissingWeightsError as error:
                missing.append(str(error))
        if "objects" in stages:
            steps = choose_steps(AUTO, Encoders())
            try:
                tools = find_tools(steps, objects, Encoders(), of_extractor, self.download)
            except MissingWeightsError as error:
                missing.append(str(error))
        if missing:
            advice = f"To do without all of them: {OFFLINE}\nTo render the scenes alone, for now: --stages render"
            raise MissingWeightsError("\n".join([*missing, advice]))
        return tools, of_estimators


def _parse_stages(text: str) -> tuple[str, ...]:
    """Those of STAGES that the text names, in their order. Raises UsageError."""
    named = [stage.strip() for stage in text.split(",")]
    unknown = [stage for stage in named if stage not in STAGES]
    if unknown:
        raise UsageError(f"there is no stage {unknown[0]!r}; --stages can be: {', '.join(STAGES)}")
    return tuple(stage for stage in STAGES if stage in named)


def _make_scenes(order: RenderOrder) -> int:
    from scenegen.rendering.run import ScenesRun, render

    assert order.stored is not None
    result = render(ScenesRun(order.root, order.stored, order.job, order.assignment, order.log_json))
    tell(result.summary)
    return result.exit_code


def _make_objects(order: RenderOrder) -> int:
    from scenegen.objects.run import ObjectsRun, make_objects
    from scenegen.objects.wanted_assets import ScenesMissingError

    assert order.tools is not None
    place, job = order.root.location, order.job
    later = f"when all are there: scenegen objects --data {place} --preset {order.preset}"
    if order.assignment.count > 1:
        tell(f"objects wait for the scenes of all tasks; {later} (as an array job, or alone)")
        return EXIT_DONE
    try:
        result = make_objects(
            ObjectsRun(place, place, order.objects, order.tools, job, order.assignment, log_json=order.log_json)
        )
    except ScenesMissingError:
        tell(f"objects wait for the scenes of other processes; {later}")
        return EXIT_DONE
    tell(result.summary)
    return result.exit_code


def _estimate_depth(order: RenderOrder) -> int:
    from scenegen.annotate.run import annotate
    from scenegen.objects.run import torch_device

    job = order.job
    result = annotate(
        order.root.location,
        order.estimators,
        order.weights,
        EstimatorOptions(device=torch_device(job.device)),
        order.assignment,
        workers=job.workers,
        ray_address=job.ray_address,
        log_json=order.log_json,
    )
    tell(f"depth estimates\n{result.summary}")
    return result.exit_code


def _list_tables_in_index(order: RenderOrder) -> None:
    """Write dataset.json and the data card again if the dataset is complete: they name the tables beside the views."""
    from scenegen.shards.config_file import require_config
    from scenegen.shards.merge import merge_if_complete

    stored = order.stored or require_config(order.root)
    merge_if_complete(order.root, stored.config)
