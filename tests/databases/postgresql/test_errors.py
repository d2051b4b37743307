"""Errors of PostgreSQL: what they become, and what they advise."""

from __future__ import annotations

import psycopg
import pytest

from airflow_provider_sync.databases.postgresql.errors import translate
from airflow_provider_sync.exceptions import ReadOnlyError


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("25006", "cannot execute CREATE TABLE in a read-only transaction"),
        ("0A000", "cannot set transaction read-write mode during recovery"),
        ("55000", "cannot assign TransactionIds during recovery"),
    ],
)
def test_a_standby(state: str, said: str) -> None:
    """Whatever a standby refuses, the advice is to connect to the primary."""
    kind = psycopg.errors.lookup(state)
    error = translate(kind(said))
    assert type(error) is ReadOnlyError
    assert f"{said}. It is a standby" in str(error)
    assert "connect to the primary" in str(error)
