"""Datasets on the Hugging Face hub, hf://datasets/owner/name, read in ranges and never written."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow import fs

from scenegen.errors import SceneGenError, UsageError

if TYPE_CHECKING:
    from huggingface_hub import HfFileSystem

SCHEME = "hf://"
NEEDED = "huggingface_hub, which is not installed: pip install 'fixer3d[hub]'"
_DATASETS = f"{SCHEME}datasets/"


class HubError(SceneGenError, OSError):
    """The hub cannot be reached, or does not let this user in."""


def open_hub(location: str) -> tuple[fs.FileSystem, str]:
    """(filesystem, base) of hf://datasets/owner/name, hf://datasets/owner/name@revision, or a folder below.

    The token is that of `hf auth login` or HF_TOKEN, if there is one. Nothing is read yet.
    Raises UsageError for another kind of location, or without the package huggingface_hub.
    """
    owner, _, name = location.removeprefix(_DATASETS).rstrip("/").partition("/")
    if not (location.startswith(_DATASETS) and owner and name):
        raise UsageError(f"cannot open {location}; a dataset on the hub is {_DATASETS}OWNER/NAME, or NAME@REVISION")
    try:
        from huggingface_hub import HfFileSystem
    except ImportError:
        raise UsageError(f"{location} needs {NEEDED}") from None
    # Of its own: fsspec would share listings with whoever opened the hub before, and they grow old.
    return fs.PyFileSystem(_HubHandler(HfFileSystem(skip_instance_cache=True))), location.removeprefix(SCHEME)


def read_only(location: str) -> str:
    """Why nothing is written to a dataset on the hub, and what to do."""
    return (
        f"{location} is on the hub, where nothing is changed in place; "
        "make it in a local folder, then: scenegen push --data FOLDER --repo OWNER/NAME"
    )


@contextmanager
def said_plainly(what: str) -> Iterator[None]:
    """Errors of the hub's client as HubError with a line about what was tried. Files that are missing stay so."""
    from huggingface_hub import errors

    try:
        yield
    except (errors.HTTPError, errors.OfflineModeIsEnabled) as error:  # HTTPError: also of a connection that fails
        if isinstance(error, FileNotFoundError):
            raise
        raise HubError(f"{what}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status == 401:
        return "the hub wants a token that it knows; type: hf auth login (or set HF_TOKEN)"
    if status in (403, 404):
        return "no such repository, or the token does not give this right; see https://huggingface.co/settings/tokens"
    if status is None:
        return f"the hub cannot be reached ({error}); is there a network, or is HF_HUB_OFFLINE set?"
    return str(error).strip().splitlines()[0]


class _HubHandler(fs.FSSpecHandler):  # type: ignore[misc]  # pyarrow has no types here
    """fsspec's handler, which reads nothing ahead and writes nothing.

    fsspec reads ahead by 5 MB, several views; pyarrow asks for whole row groups at once (`Root.open_parquet`).
    """

    fs: "HfFileSystem"

    def get_file_info(self, paths: list[str]) -> list[fs.FileInfo]:
        with said_plainly(f"cannot look at {SCHEME}{paths[0]}"):
            return super().get_file_info(paths)

    def get_file_info_selector(self, selector: fs.FileSelector) -> list[fs.FileInfo]:
        with said_plainly(f"cannot list {SCHEME}{selector.base_dir}"):
            return super().get_file_info_selector(selector)

    def open_input_stream(self, path: str) -> pa.NativeFile:
        with said_plainly(f"cannot read {SCHEME}{path}"):
            return super().open_input_stream(path)

    def open_input_file(self, path: str) -> pa.NativeFile:
        with said_plainly(f"cannot read {SCHEME}{path}"):
            return pa.PythonFile(self.fs.open(path, "rb", cache_type="none"), mode="r")

    def open_output_stream(self, path: str, metadata: Any) -> pa.NativeFile:
        raise PermissionError(read_only(f"{SCHEME}{path}"))

    def delete_file(self, path: str) -> None:
        raise PermissionError(read_only(f"{SCHEME}{path}"))

    def delete_dir(self, path: str) -> None:
        raise PermissionError(read_only(f"{SCHEME}{path}"))
