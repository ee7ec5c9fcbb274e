"""The format changes only together with its version number."""

import hashlib
import json

from scenegen.contract.schema import FIELDS, SCHEMA_VERSION

FROZEN = {1: "654b260e663f99db"}


def _describe(field) -> list:
    conventions = {key.decode(): value.decode() for key, value in field.metadata.items()}
    return [field.name, str(field.type), field.nullable, conventions]


def schema_digest() -> str:
    described = {
        table: [
            [f.name, str(f.type), f.nullable, {k.decode(): v.decode() for k, v in f.metadata.items()}] for f in fields
        ]
        for table, fields in FIELDS.items()
    }
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:16]


def test_columns_and_conventions_are_those_of_the_schema_version():
    assert FROZEN[SCHEMA_VERSION] == schema_digest(), "raise SCHEMA_VERSION, add its digest here, tell the CHANGELOG"
