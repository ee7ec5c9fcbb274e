"""All access to files: a local folder, an object store (s3://, gs://, hdfs://) or the Hugging Face hub (hf://)."""

import errno
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from scenegen.contract import hub_files
from scenegen.errors import UsageError

_COPY_CHUNK_BYTES = 16 << 20


@dataclass(frozen=True)
class Root:
    """A folder of a filesystem. Names below it use forward slashes. Picklable and safe to share over processes.

    location: what the user wrote, a path or a URI. base: the folder inside the filesystem.
    """

    location: str
    filesystem: fs.FileSystem
    base: str

    @classmethod
    def open(cls, location: str | os.PathLike[str]) -> "Root":
        """A root at a local path or a URI such as s3://bucket/folder; nothing is created or read yet.

        An S3-compatible server is given by AWS_ENDPOINT_URL or by `?endpoint_override=…&scheme=http`.
        hf://datasets/OWNER/NAME@REVISION is a dataset on the Hugging Face hub, which is only read.
        Raises UsageError for a URI of an unknown kind.
        """
        text = os.fspath(location)
        if "://" not in text:
            return cls(text, fs.LocalFileSystem(), str(Path(text).expanduser().absolute()))
        if text.startswith(hub_files.SCHEME):
            return cls(text, *hub_files.open_hub(text.rstrip("/")))
        try:
            filesystem, base = fs.FileSystem.from_uri(text)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise UsageError(f"cannot open {text}: {error}; use a local path, s3://, gs://, hdfs:// or hf://") from None
        return cls(text, filesystem, base.rstrip("/"))

    @property
    def address(self) -> str:
        """The location, absolute if it is local, for processes with another working directory."""
        return self.base if self.is_local else self.location

    @property
    def is_local(self) -> bool:
        return isinstance(self.filesystem, fs.LocalFileSystem)

    @property
    def is_on_hub(self) -> bool:
        return self.location.startswith(hub_files.SCHEME)

    def to_write(self) -> "Root":
        """Itself, where files can be written. Raises UsageError for the hub, which says what to do instead."""
        if self.is_on_hub:
            raise UsageError(hub_files.read_only(self.location))
        return self

    def path(self, name: str) -> str:
        """The path of a name inside the filesystem."""
        return f"{self.base}/{name}" if name else self.base

    def exists(self, name: str) -> bool:
        return self.filesystem.get_file_info(self.path(name)).type == fs.FileType.File

    def size_bytes(self, name: str) -> int:
        """The size of a file. Raises FileNotFoundError."""
        info = self.filesystem.get_file_info(self.path(name))
        if info.type != fs.FileType.File:
            raise FileNotFoundError(f"{self.location}/{name}")
        return info.size

    def list(self, folder: str = "") -> list[str]:
        """Names of the files directly in a folder, sorted; empty when there is no such folder."""
        selector = fs.FileSelector(self.path(folder), allow_not_found=True)
        infos = self.filesystem.get_file_info(selector)
        return sorted(info.base_name for info in infos if info.type == fs.FileType.File)

    def open_input(self, name: str) -> pa.NativeFile:
        """A seekable file for reading. Raises FileNotFoundError."""
        return self.filesystem.open_input_file(self.path(name))

    def open_parquet(self, name: str) -> pq.ParquetFile:
        """A Parquet file for reading single row groups: over a network, what is asked of one is fetched in one piece.

        Raises FileNotFoundError.
        """
        return pq.ParquetFile(self.open_input(name), pre_buffer=not self.is_local)

    def read_bytes(self, name: str) -> bytes:
        """The content of a file. Raises FileNotFoundError."""
        with self.filesystem.open_input_stream(self.path(name)) as stream:
            return stream.read()

    def write_bytes(self, name: str, content: bytes) -> None:
        """Write a file so that readers see its old content or its new one, never a part."""
        self.write_atomic(name, lambda path: _write_and_sync(path, content))

    def write_atomic(self, name: str, write: Callable[[Path], None]) -> None:
        """Let `write` fill a temporary local file, then put it in place in one step.

        Two writers of one name are harmless: the last one wins whole. If `write` raises, nothing is left behind.
        """
        target = Path(self.path(name))
        if self.is_local:
            target.parent.mkdir(parents=True, exist_ok=True)
            folder = target.parent
        else:
            folder = Path(tempfile.gettempdir())
        temporary = folder / f".{target.name}.{uuid.uuid4().hex}.tmp"
        try:
            write(temporary)
            if self.is_local:
                temporary.replace(target)
            else:
                self._upload(temporary, name)
        finally:
            temporary.unlink(missing_ok=True)

    def _upload(self, local: Path, name: str) -> None:
        # The object appears when the stream is closed; a local file first, so that a failed `write` uploads nothing.
        with local.open("rb") as source, self.filesystem.open_output_stream(self.path(name)) as sink:
            shutil.copyfileobj(source, sink, _COPY_CHUNK_BYTES)

    def remove(self, name: str) -> None:
        """Remove a file; a missing one is fine."""
        try:
            self.filesystem.delete_file(self.path(name))
        except FileNotFoundError:
            return

    def remove_folder(self, folder: str) -> None:
        """Remove a folder and what is in it. A missing one is fine; one that is written to meanwhile may stay."""
        try:
            self.filesystem.delete_dir(self.path(folder))
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.EBUSY):  # the last: open files on NFS
                raise


def _write_and_sync(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
