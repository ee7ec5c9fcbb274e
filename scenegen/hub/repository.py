"""One dataset repository on the hub: what is there, and commits to it. The only file that calls huggingface_hub."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import HFValidationError, validate_repo_id

from scenegen.contract.hub_files import HubError, said_plainly
from scenegen.errors import UsageError

_DATASET = "dataset"
_MAIN = "main"


@dataclass(frozen=True)
class Repository:
    """A dataset repository, at a branch. Its token is that of `hf auth login` or HF_TOKEN."""

    repo: str
    revision: str = _MAIN
    api: HfApi = field(default_factory=HfApi)

    @classmethod
    def open(cls, repo: str, private: bool, revision: str | None) -> "Repository":
        """The repository and branch, made if they are not there. private: of a new one; an old one stays as it is.

        Raises UsageError for a name that no repository can have, HubError without a token, a network or the right.
        """
        try:
            validate_repo_id(repo)
        except HFValidationError:
            raise UsageError(f"--repo is {repo!r}; give OWNER/NAME") from None
        if repo.count("/") != 1:
            raise UsageError(f"--repo is {repo!r}; give OWNER/NAME")
        if get_token() is None:
            raise HubError("no token of the hub; type: hf auth login (or set HF_TOKEN)")
        opened = cls(repo, revision or _MAIN)
        with said_plainly("cannot log in to the hub"):
            opened.api.whoami()
        with said_plainly(f"cannot make or open the dataset {repo}"):
            opened.api.create_repo(repo, repo_type=_DATASET, private=private, exist_ok=True)
            if opened.revision != _MAIN:
                opened.api.create_branch(repo, branch=opened.revision, repo_type=_DATASET, exist_ok=True)
        return opened

    @property
    def address(self) -> str:
        """Where it can be read."""
        return f"hf://datasets/{self.repo}" + ("" if self.revision == _MAIN else f"@{self.revision}")

    def files(self) -> dict[str, str]:
        """Every file with its digest: sha256 of a large one, Git's sha1 of a small one (see `git_sha1`)."""
        with said_plainly(f"cannot list {self.repo}"):
            tree = self.api.list_repo_tree(self.repo, repo_type=_DATASET, revision=self.revision, recursive=True)
            return {e.path: e.lfs.sha256 if e.lfs else e.blob_id for e in tree if isinstance(e, RepoFile)}

    def read(self, name: str) -> bytes:
        """The content of a small file."""
        with said_plainly(f"cannot read {name} of {self.repo}"):
            path = self.api.hf_hub_download(self.repo, name, repo_type=_DATASET, revision=self.revision)
        return Path(path).read_bytes()

    def commit(self, message: str, files: Mapping[str, Path | bytes], removed: Sequence[str] = ()) -> None:
        """Upload files and put them in place in one step; what an interrupted commit has sent is not sent again."""
        operations = [
            *(CommitOperationAdd(name, content) for name, content in files.items()),
            *(CommitOperationDelete(name) for name in removed),
        ]
        with said_plainly(f"cannot upload to {self.repo}"):
            self.api.create_commit(
                self.repo, operations, commit_message=message, repo_type=_DATASET, revision=self.revision
            )


def git_sha1(content: bytes) -> str:
    """The digest by which Git knows a file."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
