"""A push, against a hub on this machine: what is sent, what is not, and in which order."""

import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("huggingface_hub")
from local_hub import LocalHub
from whole_dataset import CONFIG

from scenegen import cli
from scenegen.contract.storage import Root
from scenegen.hub.push import push

REPO = "ada/scenes"
ROOT = Path(__file__).resolve().parents[2]
TABLE_FILES = 3 * 3 + 4 * 2  # views, scenes and depth of three shards; four objects tables of two


@pytest.fixture
def data(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "data"))


def send(data: Path, repo: str = REPO, **options) -> str:
    return push(Root.open(data), repo, attribution="a text", **options)


def test_everything_is_there_once_and_byte_for_byte_and_the_card_comes_last(data: Path, hub: LocalHub):
    commits: list[str] = []
    hub.before_commit = commits.append
    assert send(data, commit_files=8) == f"hf://datasets/{REPO}"
    there = hub.repos[REPO]["main"]
    assert commits == ["Begin the dataset", *["Add 8 shard files"] * 2, "Add 1 shard files", "Index and data card"]
    assert {n: c for n, c in there.items() if n.endswith(".parquet")} == {
        p.name: p.read_bytes() for p in data.glob("*.parquet")
    }
    assert there["dataset.json"] == (data / "dataset.json").read_bytes() and there["ATTRIBUTION.txt"] == b"a text"
    assert b'"hosts": []' in there["_ledger/shard-00000.json"] and b'"host"' not in there["_ledger/shard-00000.json"]

    sent = len(hub.received)
    assert sent == TABLE_FILES
    commits.clear()
    send(data)
    assert (len(hub.received), commits) == (sent, [])


def test_a_push_that_is_killed_goes_on_where_it_stopped(data: Path, hub: LocalHub):
    """The process dies while its third commit is held up: two commits are there, and the files of the third."""
    code = (
        "import sys; from scenegen.hub.push import push; from scenegen.contract.storage import Root; "
        "push(Root.open(sys.argv[1]), sys.argv[2], attribution='a text', commit_files=5)"
    )
    seen: list[str] = []

    def kill_at_third(message: str) -> None:
        seen.append(message)
        if len(seen) == 3:
            process.kill()
            raise ConnectionResetError

    hub.before_commit = kill_at_third
    hub.handle_error = lambda request, address: None
    process = subprocess.Popen([sys.executable, "-c", code, str(data), REPO], cwd=ROOT, stderr=subprocess.DEVNULL)
    assert process.wait(120) == -9
    assert len([name for name in hub.repos[REPO]["main"] if name.endswith(".parquet")]) == 5
    assert "README.md" not in hub.repos[REPO]["main"] and len(hub.received) == 10

    hub.before_commit = lambda message: None
    send(data)
    assert len(hub.received) == TABLE_FILES == len({oid for oid, _ in hub.received})
    assert "README.md" in hub.repos[REPO]["main"]


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("views-00001-of-00003.parquet", "Remove _ledger/shard-00001.json"),
        ("depth_tester-00000-of-00003.parquet", "scenegen annotate"),
        ("objects_views-00001-of-00002.parquet", "scenegen objects"),
    ],
)
def test_nothing_is_sent_of_a_dataset_with_a_damaged_file(data: Path, hub: LocalHub, capsys, name: str, says: str):
    damage(data / name)
    notice = data.parent / "notice.txt"
    notice.write_text("a text")
    assert cli.main(["push", "--data", str(data), "--repo", REPO, "--attribution", str(notice)]) == 1
    error = capsys.readouterr().err
    assert name in error and says in error and "nothing was sent" in error
    assert hub.received == [] and [*hub.repos[REPO]["main"]] == [".gitattributes"]


@pytest.mark.parametrize(
    ("removed", "says"),
    [
        ("_ledger/shard-00001.json", "1 of 3 shards are not finished (1); run again: scenegen render"),
        ("config.json", "holds no dataset"),
        ("depth_tester-00001-of-00003.parquet", "has 2 of 3 shards; finish it: scenegen annotate"),
        ("objects_views-00001-of-00002.parquet", "has 1 of 2 shards; finish it: scenegen objects"),
    ],
)
def test_a_dataset_that_is_not_finished_is_refused_with_what_finishes_it(
    data: Path, hub: LocalHub, capsys, removed, says
):
    (data / removed).unlink()
    assert cli.main(["push", "--data", str(data), "--repo", REPO]) == 1
    assert says in capsys.readouterr().err and hub.requests == []


def test_assets_whose_authors_are_not_known_are_not_pushed(data: Path, hub: LocalHub, capsys):
    assert cli.main(["push", "--data", str(data), "--repo", REPO]) == 1
    assert "scenegen assets notice --data" in capsys.readouterr().err and hub.requests == []


def test_another_dataset_and_another_kind_of_repository_are_not_touched(data: Path, hub: LocalHub):
    send(data)
    other = dataclasses.replace(CONFIG, seed=7)
    files = hub.repos[REPO]["main"]
    files["config.json"] = files["config.json"].replace(CONFIG.digest.encode(), other.digest.encode())
    with pytest.raises(ValueError, match="holds another dataset"):
        send(data)
    del files["config.json"]
    with pytest.raises(ValueError, match="choose another --repo"):
        send(data)


@pytest.mark.parametrize(
    ("token", "repo", "says"),
    [
        ("", REPO, "hf auth login"),
        ("hf_wrong", REPO, "hf auth login"),
        ("hf_secret", "grace/scenes", "does not give this right"),
        ("hf_secret", "scenes", "OWNER/NAME"),
    ],
)
def test_what_the_hub_refuses_is_said_in_a_line(data: Path, hub: LocalHub, monkeypatch, capsys, token, repo, says):
    monkeypatch.setenv("HF_TOKEN", token)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(data / "no-token"))
    notice = data.parent / "notice.txt"
    notice.write_text("a text")
    assert cli.main(["push", "--data", str(data), "--repo", repo, "--attribution", str(notice)]) in (1, 2)
    error = capsys.readouterr().err
    assert says in error and len(error.splitlines()) == 1


def test_without_a_network_the_hub_cannot_be_reached(data: Path, hub: LocalHub, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(OSError, match="cannot be reached"):
        send(data)


def test_a_card_that_a_person_has_taken_over_and_a_branch(data: Path, hub: LocalHub):
    (data / "README.md").write_text("# My dataset\n")
    send(data, revision="draft", private=True)
    assert hub.repos[REPO]["draft"]["README.md"] == b"# My dataset\n" and hub.private[REPO]
    assert [*hub.repos[REPO]["main"]] == [".gitattributes"]


def test_shards_of_another_division_are_removed_when_the_new_ones_are_there(data: Path, hub: LocalHub):
    send(data)
    files = hub.repos[REPO]["main"]
    files["objects-00000-of-00009.parquet"] = b"of a longer list of assets"
    send(data)
    assert "objects-00000-of-00009.parquet" not in files and "objects-00000-of-00002.parquet" in files
