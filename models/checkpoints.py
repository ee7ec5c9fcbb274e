"""Reading and writing checkpoints in the official layouts.

A network is `<name>.json` ({"name": class, "args": arguments}) beside `<name>.safetensors` or `<name>.pt`; a pipeline
is a folder with a `pipeline.json` that names its networks. Both may lie in a local folder or on the Hugging Face hub.

Loading is strict: a network is built without storage, and every one of its weights must come from the file. Weights
that were stored in half precision become float32.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.compat import MENDED, ReferenceCompat
from models.execution import DEFAULT_EXECUTION, Execution
from models.registry import build, describe
from models.weights import WithoutStorage

WEIGHT_SUFFIXES = (".safetensors", ".pt", ".pth")
MOGE_CLASS = "MoGeModel"


class CheckpointError(ValueError):
    """A checkpoint that is missing or does not fit."""


@dataclass(frozen=True)
class Description:
    """Which network a file holds: its official class name and arguments."""

    class_name: str
    args: Mapping[str, Any]


@dataclass(frozen=True)
class Runtime:
    """How the networks are to be built and where their weights go."""

    execution: Execution = DEFAULT_EXECUTION
    reference_compat: ReferenceCompat = MENDED
    device: str | torch.device = "cpu"


DEFAULT_RUNTIME = Runtime()


def read_network(
    source: str | Path,
    runtime: Runtime = DEFAULT_RUNTIME,
    description: Description | None = None,
    ignore_unexpected: bool = False,
) -> nn.Module:
    """A network with its weights.

    source: a path without extension, a weights file, or `owner/repo/path/name` on the hub.
    description: for weights without a JSON file beside them (and without a config inside, as MoGe's have).
    ignore_unexpected: accept keys that the network does not have; missing ones are an error all the same.
    """
    config_file, weights_file = locate(source)
    state, inside = read_state(weights_file)
    description = description or inside or (None if config_file is None else read_description(config_file))
    if description is None:
        raise CheckpointError(
            f"{weights_file} does not say which network it holds; put {weights_file.with_suffix('.json').name} "
            'with {"name": ..., "args": ...} beside it, or pass a description'
        )
    with WithoutStorage():
        network = build(description.class_name, description.args, runtime.execution, runtime.reference_compat)
    load_state(network, state, str(weights_file), ignore_unexpected, runtime.device)
    return network.eval()


def read_pipeline(
    source: str | Path, runtime: Runtime = DEFAULT_RUNTIME, names: tuple[str, ...] | None = None
) -> tuple[dict[str, nn.Module], dict[str, Any]]:
    """The networks that a `pipeline.json` names (or those of them in `names`), and its other arguments.

    source: a local folder or `owner/repo` on the hub. A network that is not in the same place is looked for on the
    hub under the path given for it.
    """
    places, args = pipeline_places(source)
    unknown = set(names or ()) - places.keys()
    if unknown:
        raise CheckpointError(f"{source} has no networks {sorted(unknown)}; it has {sorted(places)}")
    return {name: read_network(places[name], runtime) for name in names or tuple(places)}, args


def pipeline_places(source: str | Path) -> tuple[dict[str, str | Path], dict[str, Any]]:
    """Where the networks of a pipeline are, as `read_network` takes it, by name; and the pipeline's other arguments."""
    args = dict(json.loads(_pipeline_file(source).read_text())["args"])
    return {name: _beside(source, model) for name, model in args.pop("models").items()}, args


def write_network(
    network: nn.Module, target: str | Path, weights: Mapping[str, Tensor] | None = None, half: bool = False
) -> None:
    """Write `<target>.json` and `<target>.safetensors`, which the released code reads as well.

    weights: instead of the network's own where given, such as their moving average, or what was gathered from shards.
    half: store them in half precision: half the bytes, and float32 again when they are read.
    Raises CheckpointError for a weight that half precision cannot hold.
    """
    from safetensors.torch import save_file

    name, args = describe(network)
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    _with_suffix(target, ".json").write_text(json.dumps({"name": name, "args": args}, indent=4) + "\n")
    state = {
        key: value.detach().cpu().contiguous() for key, value in {**network.state_dict(), **(weights or {})}.items()
    }
    if half:
        state = {key: _halved(key, value) for key, value in state.items()}
    save_file(state, _with_suffix(target, ".safetensors"))


def _halved(key: str, value: Tensor) -> Tensor:
    """In float16, unless they are integers."""
    halved = value.half() if value.is_floating_point() else value
    if not halved.isfinite().all():
        raise CheckpointError(
            f"{key} has values that half precision cannot hold (up to {torch.finfo(torch.float16).max:g}); "
            "write the network without half precision"
        )
    return halved


def write_pipeline(folder: str | Path, name: str, networks: Mapping[str, nn.Module], args: Mapping[str, Any]) -> None:
    """Write networks to `<folder>/ckpts/` and a `pipeline.json` that names them."""
    folder = Path(folder)
    for key, network in networks.items():
        write_network(network, folder / "ckpts" / key)
    write_pipeline_file(folder, name, {key: f"ckpts/{key}" for key in networks}, args)


def write_pipeline_file(folder: Path, name: str, models: Mapping[str, str], args: Mapping[str, Any]) -> None:
    """Write the `pipeline.json` alone. models: path in the folder of each network that is there already."""
    config = {"name": name, "args": {"models": dict(models), **args}}
    (folder / "pipeline.json").write_text(json.dumps(config, indent=4) + "\n")


def load_state(
    network: nn.Module,
    state: Mapping[str, Tensor],
    where: str,
    ignore_unexpected: bool = False,
    device: str | torch.device = "cpu",
) -> None:
    """Give a network exactly these weights, in float32 on `device`; it may have been built on the meta device.

    Raises CheckpointError that names every missing, unexpected or misshapen key, before anything is changed.
    """
    own = network.state_dict()
    missing = sorted(own.keys() - state.keys())
    unexpected = [] if ignore_unexpected else sorted(state.keys() - own.keys())
    shared = own.keys() & state.keys()
    misshapen = [
        f"{key} {tuple(state[key].shape)} instead of {tuple(own[key].shape)}"
        for key in sorted(shared)
        if state[key].shape != own[key].shape
    ]
    problems = {"missing": missing, "unexpected": unexpected, "of another shape": misshapen}
    if any(problems.values()):
        listed = "; ".join(f"{len(keys)} {kind}: {', '.join(keys)}" for kind, keys in problems.items() if keys)
        raise CheckpointError(f"{where} does not fit {type(network).__name__}: {listed}")
    weights = {key: state[key].to(device, torch.float32) for key in shared}
    training = [parameter.requires_grad for parameter in network.parameters()]
    network.load_state_dict(weights, strict=True, assign=True)
    for parameter, requires_grad in zip(network.parameters(), training, strict=True):
        parameter.requires_grad_(requires_grad)


def read_state(file: Path) -> tuple[dict[str, Tensor], Description | None]:
    """The tensors of a weights file, and the description it carries inside, if any.

    Raises CheckpointError for a file that is damaged, or holds anything that is not data.
    """
    try:
        content = _content(file)
    except Exception as error:  # damaged files raise many kinds of errors in both readers
        raise CheckpointError(
            f"{file} cannot be read as weights ({type(error).__name__}); it is damaged, cut short or of another kind"
        ) from error
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{file} holds a {type(content).__name__}, not weights by their names")
    if "model_config" in content:
        if isinstance(content["model_config"].get("encoder"), str):
            raise CheckpointError(
                f"{file} holds a MoGe of version 1, which has no metric scale and other layers; "
                "give the model.pt of version 2, such as that of Ruicheng/moge-2-vitl-normal on the Hugging Face hub"
            )
        return content["model"], Description(MOGE_CLASS, content["model_config"])
    return dict(content), None


def _content(file: Path) -> Any:
    if file.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(file)
    return torch.load(file, map_location="cpu", weights_only=True)


def read_description(file: Path) -> Description:
    content = json.loads(file.read_text())
    return Description(content["name"], content["args"])


def locate(source: str | Path) -> tuple[Path | None, Path]:
    """The local JSON file (None if there is none) and weights file of a network, fetched from the hub if need be."""
    path = Path(source)
    stem = path.with_suffix("") if path.suffix in WEIGHT_SUFFIXES else path
    candidates = [path] if path.suffix in WEIGHT_SUFFIXES else [_with_suffix(stem, s) for s in WEIGHT_SUFFIXES]
    for weights in candidates:
        if weights.is_file():
            config = _with_suffix(stem, ".json")
            return (config if config.is_file() else None), weights
    repo, name = _hub_address(stem)
    if repo is None or path.is_absolute():
        raise CheckpointError(
            f"no weights at {source}; put {' or '.join(c.name for c in candidates)} into {stem.parent}/"
        )
    return _from_hub(repo, f"{name}.json"), _first_from_hub(repo, [f"{name}{s}" for s in WEIGHT_SUFFIXES[:2]])


def _pipeline_file(source: str | Path) -> Path:
    local = Path(source) / "pipeline.json"
    if local.is_file():
        return local
    repo, inner = _hub_address(local)
    if repo is None or Path(source).is_absolute():
        raise CheckpointError(
            f"no pipeline.json in {source}; download one into that folder, or give owner/repo on the hub"
        )
    return _from_hub(repo, inner)


def _beside(source: str | Path, model: str) -> str | Path:
    """Where a pipeline's network lies: in its folder or repo, or at a hub address of its own."""
    local = Path(source)
    if any(_with_suffix(local / model, suffix).is_file() for suffix in WEIGHT_SUFFIXES):
        return local / model
    return model if len(Path(model).parts) > 2 else f"{source}/{model}"


def _hub_address(path: Path) -> tuple[str | None, str]:
    """`owner/repo/inner/path` -> (owner/repo, inner/path); (None, "") if it has no such parts."""
    parts = path.parts
    return ("/".join(parts[:2]), "/".join(parts[2:])) if len(parts) > 2 else (None, "")


def _first_from_hub(repo: str, names: list[str]) -> Path:
    for name in names[:-1]:
        try:
            return _from_hub(repo, name)
        except CheckpointError:
            continue
    return _from_hub(repo, names[-1])


def _from_hub(repo: str, name: str) -> Path:
    """A file of a hub repository, from the local cache or the network."""
    advice = (
        f"download https://huggingface.co/{repo}/resolve/main/{name} to a folder of yours, "
        f"keep its path ({name}), and pass that folder's path instead of {repo}"
    )
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise CheckpointError(f"{repo}/{name} is not a local file; pip install huggingface_hub, or {advice}") from error
    try:
        return Path(hf_hub_download(repo, name))
    except Exception as error:
        raise CheckpointError(f"could not get {name} from {repo} ({type(error).__name__}); {advice}") from error


def _with_suffix(stem: Path, suffix: str) -> Path:
    """Append a suffix; names like `model_step0.5` keep their dot."""
    return stem.with_name(stem.name + suffix)
