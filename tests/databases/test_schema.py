"""What a table of any engine says of itself."""

from __future__ import annotations

import msgspec
import pytest

from airflow_provider_sync.databases.schema import Column, Kind, Table, UniqueKey


@pytest.mark.parametrize(
    ("names", "promised"),
    [("id", True), ("ib", True), ("ab", True), ("cb", True), ("a", False), ("b", False), ("c", False), ("", False)],
)
def test_columns_that_an_index_keeps_unique(names: str, promised: bool) -> None:
    """Columns are unique together if the primary key or a unique key is among them, also with NULLs."""
    table = Table(
        name="t",
        columns=tuple(Column(name=name, kind=Kind.INTEGER, sql_type="int") for name in "iabcd"),
        primary_key=("i",),
        unique_keys=(
            UniqueKey(name="ab", columns=("b", "a")),
            UniqueKey(name="cb", columns=("c", "b"), nulls_distinct=False),
        ),
    )
    assert table.has_unique(list(names)) is promised
    assert not msgspec.structs.replace(table, primary_key=(), unique_keys=()).has_unique(list(names))
