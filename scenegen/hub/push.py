"""A finished dataset to the hub: what is there already stays, what is damaged goes nowhere, the card comes last."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from scenegen.assets.notice import notice, records_of_scenes
from scenegen.config import AssetsConfig
from scenegen.contract.dataset import Dataset
from scenegen.contract.index import INDEX_NAME, DatasetIndex, parse_shard_name
from scenegen.contract.storage import Root
from scenegen.errors import SceneGenError, UsageError
from scenegen.hub.files import TableFile, damaged, table_files
from scenegen.hub.repository import Repository, git_sha1
from scenegen.shards.card import ATTRIBUTION_NAME, CARD_NAME, data_card, is_ours
from scenegen.shards.config_file import CONFIG_NAME, StoredConfig, require_config
from scenegen.shards.ledger import ShardLedger, finished_shards, ledger_file
from scenegen.shards.merge import merge
from scenegen.verify.problem import remedy

_COMMIT_FILES = 64
_COMMIT_BYTES = 4 << 30
_SHOWN = 10


def push(
    root: Root,
    repo: str,
    *,
    private: bool = False,
    revision: str | None = None,
    attribution: str | None = None,
    say: Callable[[str], None] = lambda line: None,
    commit_files: int = _COMMIT_FILES,
) -> str:
    """Upload a finished local dataset; returns its address on the hub.

    A file whose sha256 is there already is not sent again, so that an interrupted push goes on where it stopped. All
    others are checked before the first is sent. Then come shards, in commits of `commit_files`, and in the last commit
    index, ledgers (without the names of hosts), attribution and card: until then no viewer shows anything.

    attribution: the text that names authors and licences; None makes it from the manifests of the assets.
    Raises UsageError, SceneGenError for a dataset that is not finished or damaged, HubError.
    """
    if not root.is_local:
        raise UsageError(f"{root.location} is not a local folder; copy the dataset to one, then push that")
    stored = require_config(root)
    ledgers = [*finished_shards(root, stored.config, range(stored.config.num_shards)).values()]
    index = merge(root, stored.config, ledgers)
    files = table_files(root, index)
    credits_ = attribution or _attribution(root, stored.config.assets)
    repository = Repository.open(repo, private, revision)
    there = repository.files()
    _refuse_other_dataset(repository, there, stored)
    missing = [file for file in files if there.get(file.name) != file.sha256]
    say(f"{len(files) - len(missing)} of {len(files)} files are there; checking the others before anything is sent")
    _refuse_damaged(root, missing, index.num_shards)
    if CONFIG_NAME not in there:
        repository.commit("Begin the dataset", {CONFIG_NAME: stored.to_json().encode()})
    sent = 0
    for batch in _batches(missing, commit_files):
        repository.commit(f"Add {len(batch)} shard files", {file.name: file.path for file in batch})
        sent += len(batch)
        say(f"{sent} of {len(missing)} files sent")
    last = _last_files(root, stored, index, ledgers, credits_)
    changed = {name: content for name, content in last.items() if there.get(name) != git_sha1(content)}
    left_over = _left_over(there, files)
    if changed or left_over:
        repository.commit("Index and data card", changed, left_over)
    return repository.address


def _refuse_other_dataset(repository: Repository, there: dict[str, str], stored: StoredConfig) -> None:
    """Raises UsageError if something else is in the repository."""
    if CONFIG_NAME not in there:
        strangers = sorted(there.keys() - {".gitattributes", CARD_NAME})
        if strangers:
            raise UsageError(f"{repository.repo} holds {strangers[0]} and no {CONFIG_NAME}; choose another --repo")
        return
    try:
        digest = json.loads(repository.read(CONFIG_NAME))["meta"]["config_digest"]
    except (ValueError, KeyError, TypeError):
        digest = "unknown"
    if digest != stored.meta.config_digest:
        raise UsageError(
            f"{repository.repo} holds another dataset (config {digest[:12]}, not {stored.meta.config_digest[:12]});\n"
            "choose another --repo, or another --revision of this one"
        )


def _refuse_damaged(root: Root, files: Sequence[TableFile], num_shards: int) -> None:
    problems = damaged(root, files, num_shards)
    if problems:
        listed = "\n".join(str(problem) for problem in problems[:_SHOWN])
        advice = remedy(root, problems)
        raise SceneGenError(f"nothing was sent, because of {len(problems)} problems:\n{listed}\n{advice}")


def _attribution(root: Root, assets: AssetsConfig) -> str:
    """Raises SceneGenError, with what to do, where the manifests of the assets are not known."""
    dataset = Dataset.open(root.location)
    rows = dataset.table("scenes", ["objects.asset_uid"])["objects"].to_pylist()
    used = {placed["asset_uid"] for objects in rows for placed in objects}
    elsewhere = (
        f"type where the assets are: scenegen assets notice --data {root.location} --out notice.txt\n"
        f"and here: scenegen push --data {root.location} --attribution notice.txt --repo OWNER/NAME"
    )
    try:
        records = records_of_scenes(dataset.scenes(), assets)
    except SceneGenError as error:
        raise SceneGenError(f"the authors of the assets are not known here ({error});\n{elsewhere}") from None
    unknown = sorted(used - {record.uid for record in records})
    if unknown:
        raise SceneGenError(
            f"the authors of {len(unknown)} assets are not known here, such as {unknown[0]};\n{elsewhere}"
        )
    return notice(records)


def _batches(files: Sequence[TableFile], count: int) -> Iterator[list[TableFile]]:
    batch: list[TableFile] = []
    for file in files:
        if batch and (len(batch) == count or sum(f.size_bytes for f in batch) + file.size_bytes > _COMMIT_BYTES):
            yield batch
            batch = []
        batch.append(file)
    if batch:
        yield batch


def _last_files(
    root: Root, stored: StoredConfig, index: DatasetIndex, ledgers: Sequence[ShardLedger], attribution: str
) -> dict[str, bytes]:
    """Index, ledgers, attribution and card; the card is the folder's own if a person has taken it over."""
    own = data_card(stored.config, index, ledgers, attribution=True).encode()
    return {
        INDEX_NAME: index.to_json().encode(),
        **{ledger_file(ledger.shard): replace(ledger, hosts=()).to_json().encode() for ledger in ledgers},
        ATTRIBUTION_NAME: attribution.encode(),
        CARD_NAME: own if is_ours(root) else (Path(root.base) / CARD_NAME).read_bytes(),
    }


def _left_over(there: dict[str, str], files: Sequence[TableFile]) -> list[str]:
    """Shard files of a table that was divided into another number of shards when it was pushed before."""
    now = {file.name for file in files}
    tables = {parsed[0] for name in now if (parsed := parse_shard_name(name))}
    return [n for n in sorted(there) if n not in now and (parsed := parse_shard_name(n)) and parsed[0] in tables]
