"""The columns of targets that are created from a description, judged by their types alone."""

from __future__ import annotations

import pytest

from airflow_provider_sync.databases.postgresql.text import logical_type
from airflow_provider_sync.databases.postgresql.type_names import sql_type
from airflow_provider_sync.databases.schema import Column, Kind
from airflow_provider_sync.databases.type_rules import map_type


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (Kind.BOOLEAN, "boolean"),
        (Kind.FLOAT, "real"),
        (Kind.DOUBLE, "double precision"),
        (Kind.BINARY, "bytea"),
        (Kind.DATE, "date"),
        (Kind.UUID, "uuid"),
        (Kind.JSON, "jsonb"),
    ],
)
def test_a_created_column_has_the_type_of_the_source(kind: Kind, name: str) -> None:
    """Between PostgreSQL databases, a created column has the source's type and accepts its values."""
    column = Column(name="c", kind=kind, sql_type=name)
    logical = logical_type(column)
    assert sql_type(logical).lower() == name
    assert map_type("t", logical, column, logical_type(column)).conversion is None
