"""`scenegen push`: a finished dataset to the Hugging Face hub."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from scenegen.commands.options import open_root, tell
from scenegen.errors import EXIT_DONE, UsageError


@dataclass(frozen=True, kw_only=True)
class Push:
    """Upload a finished dataset to the Hugging Face hub.

    Every file is checked first, and nothing is sent of a dataset that is damaged. What is there already is not sent
    again: stop at any time, the same command goes on. The data card comes last.

    Exit codes: 0 it is there, 1 error, 2 bad usage, 75 interrupted: run again.
    """

    repo: str
    """OWNER/NAME on the hub; made if it is not there. The token is that of hf auth login, or HF_TOKEN."""
    data: str = "data/"
    """The dataset, a local folder, with what lies beside the views: depth sidecars and objects tables."""
    private: bool = False
    """Make a new repository private; one that is there stays as it is."""
    revision: str | None = None
    """A branch, made if it is not there. Default: main."""
    attribution: Path | None = None
    """A file of scenegen assets notice, where the assets are on another machine. Default: made here."""

    def run(self) -> int:
        from scenegen.contract.hub_files import NEEDED

        if find_spec("huggingface_hub") is None:
            raise UsageError(f"scenegen push needs {NEEDED}")
        from scenegen.hub.push import push

        text = self.attribution.read_text() if self.attribution else None
        address = push(
            open_root(self.data), self.repo, private=self.private, revision=self.revision, attribution=text, say=tell
        )
        print(f'{address} is complete. Read it with: scenegen.open_dataset("{address}")')
        return EXIT_DONE
