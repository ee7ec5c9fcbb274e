"""The attribution text (NOTICE) of the assets that a dataset uses."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from scenegen.assets.hdris import HdriLibrary
from scenegen.assets.library import AssetLibrary
from scenegen.assets.manifest import AssetRecord
from scenegen.config import AssetsConfig
from scenegen.contract.records import Scene

LICENCE_URLS = {
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "CC-BY-3.0": "https://creativecommons.org/licenses/by/3.0/",
    "CC-BY-3.0-US": "https://creativecommons.org/licenses/by/3.0/us/",
    "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/",
    "CC-BY-SA-4.0": "https://creativecommons.org/licenses/by-sa/4.0/",
    "CC-BY-NC-4.0": "https://creativecommons.org/licenses/by-nc/4.0/",
    "CC-BY-NC-SA-4.0": "https://creativecommons.org/licenses/by-nc-sa/4.0/",
}
UNKNOWN = "NOASSERTION"
CHANGES = "The models were brought into one frame and size, simplified where heavy, and given new material parameters."


def records_of_scenes(scenes: Iterable[Scene], config: AssetsConfig) -> list[AssetRecord]:
    """The records of the objects and environment maps that scenes show, by uid; assets without a record are left out.

    config: the stores of the dataset. Raises UsageError for one that cannot be opened.
    """
    known = {**AssetLibrary.open(replace(config, split="all")).records, **HdriLibrary.open(config).records}
    used: set[str] = set()
    for scene in scenes:
        used |= {placed.asset_uid for placed in scene.objects} | {scene.hdri_uid}
    return [known[uid] for uid in sorted(used) if uid in known]


class Credited(Protocol):
    """What the attribution of an asset says: a record of a manifest has it, and so has a raw asset."""

    @property
    def uid(self) -> str: ...

    @property
    def licence(self) -> str: ...

    @property
    def author(self) -> str: ...

    @property
    def attribution(self) -> str: ...

    @property
    def commercial_use(self) -> bool: ...

    @property
    def name(self) -> str: ...


def notice(records: Iterable[Credited]) -> str:
    """A plain text that lists every asset under its licence; those without commercial use are marked.

    The same records give the same text, whatever their order.
    """
    by_licence: dict[str, list[Credited]] = defaultdict(list)
    for record in records:
        by_licence[record.licence].append(record)
    lines = ["This dataset shows the following works.", CHANGES, ""]
    for licence in sorted(by_licence):
        lines += [f"{licence}  {LICENCE_URLS.get(licence, _unknown_url(licence))}".rstrip(), ""]
        for record in sorted(by_licence[licence], key=lambda r: r.uid):
            credit = record.attribution or f'"{record.name or record.uid}" by {record.author or "unknown"}'
            lines.append(f"  {record.uid}: {credit}{'' if record.commercial_use else ' (no commercial use)'}")
        lines.append("")
    return "\n".join(lines)


def _unknown_url(licence: str) -> str:
    if licence == UNKNOWN:
        return "(the licence is not known: find it out before you publish)"
    return f"https://spdx.org/licenses/{licence}.html"


def licence_summary(records: Iterable[AssetRecord]) -> str:
    """One SPDX expression for all records, e.g. "CC-BY-3.0 AND CC0-1.0"."""
    return " AND ".join(sorted({record.licence for record in records}))
