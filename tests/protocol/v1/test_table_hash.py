"""The chained hash of a table."""

from __future__ import annotations

import json

import pytest

from airflow_provider_sync.protocol.v1 import EMPTY, NULL
from airflow_provider_sync.protocol.v1.rows import RowReader
from airflow_provider_sync.protocol.v1.table_hash import AnswerHash, TableHash
from tests.protocol.v1 import golden_tables

_RECORDED = {entry["name"]: entry for entry in json.loads((golden_tables.TABLES.parent / "tables.json").read_text())}
_SPLITTABLE = ["basic", "bigint", "composite_pk", "dates", "decimal", "double", "empty", "float", "one_null_row", "s_real"]


@pytest.mark.parametrize("name", _SPLITTABLE)
def test_recorded_rows_hash_to_the_recorded_hash(name: str) -> None:
    """The hash of the recorded rows is the recorded hash."""
    table_hash = TableHash()
    fields = golden_tables.hashed(name)
    table_hash.update(fields[:2])
    table_hash.update(fields[2:])
    assert table_hash.hexdigest() == _RECORDED[name]["hash"]


def test_a_table_without_rows_has_no_digits() -> None:
    """Without rows, the hash is the word for an empty table."""
    table_hash = TableHash()
    table_hash.update([])
    assert table_hash.hexdigest() == EMPTY


# Columns that are hashed in another form than they are sent in, that are hashed and not sent, or rows in another order.
_HASHED_OTHERWISE = {"bit", "double", "float", "invisible", "myisam_unordered", "s_composite", "s_order", "zerofill"}
_LOST_ROWS = {"binary_invalid", "binary_mixed", "geometry", "s_blob", "s_real"}


@pytest.mark.parametrize("name", [name for name, entry in _RECORDED.items() if entry["hash"] and name not in _LOST_ROWS])
def test_rows_as_they_came_hash_to_the_recorded_hash(name: str) -> None:
    """Received rows hash to the server's hash, except for types that it hashes in another form."""
    found = AnswerHash()
    for rows in RowReader([golden_tables.wire(name)]):
        found.update(rows)
    assert found.matches(_RECORDED[name]["hash"]) == (name not in _HASHED_OTHERWISE)


def test_other_rows_are_not_told() -> None:
    """Missing or additional rows, and another order, change the hash; without rows it is the word for an empty table."""
    found = [AnswerHash() for _ in range(4)]
    for answer, rows in zip(found, ([(1, "a"), (2, None)], [(1, "a")], [(2, None), (1, "a")], []), strict=True):
        answer.update(rows)  # type: ignore[arg-type]  # rows are tuples of values
    assert found[3].matches(EMPTY)
    told = TableHash()
    told.update([[b"1", b"a"], [b"2", NULL]])
    assert [answer.matches(told.hexdigest()) for answer in found] == [True, False, False, False]
