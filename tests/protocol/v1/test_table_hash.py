"""The chained hash of a table."""

from __future__ import annotations

import json

import pytest

from airflow_provider_sync.protocol.v1 import EMPTY
from airflow_provider_sync.protocol.v1.table_hash import TableHash
from tests.protocol.v1 import golden_tables

_RECORDED = {entry["name"]: entry for entry in json.loads((golden_tables.TABLES.parent / "tables.json").read_text())}
_SPLITTABLE = ["basic", "bigint", "composite_pk", "dates", "decimal", "double", "empty", "float", "one_null_row", "s_real"]


@pytest.mark.parametrize("name", _SPLITTABLE)
def test_recorded_rows_hash_to_the_recorded_hash(name: str) -> None:
    """The chain over the recorded fields is the hash that the real server answered."""
    table_hash = TableHash()
    fields = golden_tables.hashed(name)
    table_hash.update(fields[:2])
    table_hash.update(fields[2:])
    assert table_hash.hexdigest() == _RECORDED[name]["hash"]


def test_a_table_without_rows_has_no_digits() -> None:
    """Without rows the hash is the word for an empty table."""
    table_hash = TableHash()
    table_hash.update([])
    assert table_hash.hexdigest() == EMPTY
