"""`scenegen assets list`: what is in asset stores."""

import json
import sys
from collections import Counter
from dataclasses import dataclass

from scenegen.errors import EXIT_DONE


@dataclass(frozen=True)
class List:
    """Count the assets of stores by split, licence and category."""

    store: tuple[str, ...] = ("starter",)
    """Prepared stores: "starter" or folders."""
    records: bool = False
    """Print the record of every asset as a line of JSON, instead of the counts."""

    def run(self) -> int:
        """Print the records or the counts."""
        from scenegen.assets.library import Store
        from scenegen.assets.manifest import read_manifest

        found = [record for name in self.store for record in read_manifest(Store.named(name).manifest)]
        if self.records:
            for record in found:
                _say(json.dumps({name: getattr(record, name) for name in record.__slots__}, ensure_ascii=False))
            return EXIT_DONE
        _say(f"{len(found)} objects, {sum(r.bytes for r in found) / 1e6:.1f} MB, {sum(r.faces for r in found)} faces")
        for title, key in (("split", "split"), ("licence", "licence"), ("category", "category"), ("source", "source")):
            counts = Counter(getattr(record, key) for record in found)
            _say(f"{title}: " + ", ".join(f"{name or '(none)'} {count}" for name, count in counts.most_common()))
        return EXIT_DONE


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
