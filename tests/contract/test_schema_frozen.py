"""The format changes only together with its version number."""

import hashlib
import json

import pytest

from scenegen.contract.records import BOTH, FIRST, OPAQUE
from scenegen.contract.schema import FIELDS, SCHEMA_VERSION, ShardMeta, fields_of, version_of

FROZEN = {1: "654b260e663f99db", 2: "4e161422512ed1bd"}


def schema_digest(transparent: str) -> str:
    described = {
        table: [
            [f.name, str(f.type), f.nullable, {k.decode(): v.decode() for k, v in f.metadata.items()}]
            for f in fields_of(table, transparent)
        ]
        for table in FIELDS
    }
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:16]


@pytest.mark.parametrize(("version", "transparent"), [(1, FIRST), (SCHEMA_VERSION, BOTH)])
def test_columns_and_conventions_are_those_of_the_schema_version(version, transparent):
    assert version_of(transparent) == version
    assert FROZEN[version] == schema_digest(transparent), "raise SCHEMA_VERSION, add its digest, tell the CHANGELOG"


def test_a_file_says_which_surfaces_it_shows_and_one_of_the_first_surface_is_as_it_was_in_version_1():
    said = {name: ShardMeta("digest", 0, "1", "boxes", "none", name).to_metadata() for name in (FIRST, OPAQUE, BOTH)}
    assert said[FIRST] == {
        "schema_version": "1",
        "config_digest": "digest",
        "dataset_seed": "0",
        "code_version": "1",
        "renderer": "boxes",
        "colour_transform": "none",
    }
    assert [(said[name]["schema_version"], said[name]["transparent"]) for name in (OPAQUE, BOTH)] == [
        ("2", "opaque"),
        ("2", "both"),
    ]
