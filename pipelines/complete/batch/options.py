"""Which options go with --batch, and the command that each picture of the folder stands for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from pipelines.complete.batch.folder import PictureFiles
from pipelines.complete.command import CompleteCommand
from pipelines.errors import PipelineError, UsageError

GROUPS = ("about the input", "meshes", "sampling")  # of options that decide a result


def command_of(command: CompleteCommand, picture: PictureFiles, folder: Path) -> CompleteCommand:
    """The command that completes one picture into a folder. Its own files go before those of all pictures."""
    return replace(
        command,
        batch=None,
        out=folder / "scene.glb",
        picture=folder / "picture.png",
        report=folder / "report.json",
        objects_dir=folder / "objects",
        image=picture.image,
        masks=picture.masks or command.masks,
        depth=str(picture.depth or command.depth),
        camera=picture.camera or command.camera,
        fov_deg=None if picture.camera else command.fov_deg,
    )


def deciding(command: CompleteCommand) -> dict[str, Any]:
    """The options that decide the result of a picture, but for its files and the checkpoint."""
    groups = (CompleteCommand.HELP_GROUPS[group] for group in GROUPS)
    names = ["fov-deg", "official-behaviour", *" ".join(groups).split()]
    values = {name: getattr(command, name.replace("-", "_")) for name in names if name != "camera"}
    return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}


def check_options(command: CompleteCommand, folder: Path) -> None:
    """Raises UsageError for options that are for a single picture, and for results among the pictures."""
    for option in ("image", "shards", "view", "splats", "picture", "report", "objects_dir", "rerun"):
        if getattr(command, option) is not None:
            raise UsageError(
                f"--{option.replace('_', '-')} is for one picture; --batch writes scene.glb, picture.png, report.json "
                "and objects/ of each into OUT/NAME/"
            )
    if command.masks is not None and command.masks.suffix.lower() != ".json":
        raise UsageError("--masks for a batch is COCO JSON with the annotations of all pictures by file name")
    if Path(command.depth).suffix:
        raise UsageError("--depth for a batch is an estimator; depth files lie beside pictures, NAME.depth.npy")
    if command.out.suffix.lower() == ".glb" or command.out.is_file():
        raise UsageError(f"--out of a batch is a folder for all results, not the file {command.out}")
    out = command.out.resolve()
    if folder.resolve() in (out, *out.parents):
        raise UsageError(f"--out {command.out} lies in the folder of the pictures; choose one beside it")
    for path in (command.masks, command.camera):
        if path is not None and not path.exists():
            raise PipelineError(f"{path} cannot be read: there is no such file")
